// cooperative_groups.h: the part of CUDA's cooperative groups that this project uses, for the
// stand-in (../cudasim.h): the barrier of a grid that was launched cooperatively.
#ifndef CUDASIM_COOPERATIVE_GROUPS_H
#define CUDASIM_COOPERATIVE_GROUPS_H

namespace cudasim {
void grid_barrier(const char *file, int line);
}

namespace cooperative_groups {

struct grid_group {
    void sync(const char *file = __builtin_FILE(), int line = __builtin_LINE()) const {
        cudasim::grid_barrier(file, line);
    }
};

inline grid_group this_grid() {
    return {};
}

} // namespace cooperative_groups

#endif
