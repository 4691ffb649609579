/* layer_args.h: from a row of the layer table to the argument struct of its operation: shapes and
 * constants. The pointers are NULL; whoever has memory fills them in. */
#ifndef LAYER_ARGS_H
#define LAYER_ARGS_H

#include "backend.h"
#include "network/network.h"

struct conv_args layer_conv_args(const struct layer *layer, int batch);
/* Of a LAYER_CONV with filter_norm > 0. */
struct filter_args layer_filter_args(const struct layer *layer);
/* `index` is the layer's place in the table: dropout draws by it. */
struct norm_args layer_norm_args(const struct layer *layer, int index, int batch, bool training);
struct pool_args layer_pool_args(const struct layer *layer, int batch);
struct average_args layer_average_args(const struct layer *layer, int batch);
struct linear_args layer_linear_args(const struct layer *layer, int batch);

#endif
