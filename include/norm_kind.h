/* norm_kind.h: the normalizations. A new one starts with a value here; the compiler then points at
 * every switch that needs a case for it. */
#ifndef NORM_KIND_H
#define NORM_KIND_H

enum norm_kind { NORM_BATCH, NORM_GROUP, NORM_LAYER };
enum { NORM_COUNT = 3 };

#endif
