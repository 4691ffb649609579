// cudasim_kernel.h: the stand-in's meaning of the macros of src/kernels/kernel.cuh: kernels
// run as fibers, and shared arrays are objects that check each access.
#ifndef CUDASIM_KERNEL_H
#define CUDASIM_KERNEL_H

#include <cuda_runtime.h>
#include <functional>
#include <tuple>
#include <type_traits>

namespace cudasim {

// ---- shared memory -----------------------------------------------------------------------------

struct shared_array; // an array of the block that runs now (shared.cpp)

// One declaration of a shared array in the source. `array` is that of memory number `memory`.
struct shared_site {
    const char *name;
    bool dynamic;
    unsigned long memory;
    shared_array *array;
};

shared_array *shared_open(shared_site *site, size_t count, size_t element_bytes);
void shared_read(void *to, shared_array *array, size_t index);
void shared_write(shared_array *array, size_t index, const void *from);

// An element: the type of `array[i]`. It must be read or written at once: `auto v = array[i]` would
// keep the element, not its value, and does not compile when v is used.
template <class T> class shared_element {
  public:
    shared_element(shared_array *array, size_t index) : array_(array), index_(index) {
    }
    shared_element(const shared_element &) = delete;
    operator T() const && {
        return read();
    }
    T operator=(T value) const && {
        return write(value);
    }
    T operator=(const shared_element &other) const && {
        return write(other.read());
    }
    T operator+=(T value) const && {
        return write(read() + value);
    }
    T operator-=(T value) const && {
        return write(read() - value);
    }
    T operator*=(T value) const && {
        return write(read() * value);
    }
    void operator&() const = delete;

  private:
    T read() const {
        T value;
        shared_read(&value, array_, index_);
        return value;
    }
    T write(T value) const {
        shared_write(array_, index_, &value);
        return value;
    }
    shared_array *array_;
    size_t index_;
};

// An array, or a pointer into it.
template <class T> class shared_pointer {
  public:
    static_assert(std::is_trivially_copyable<T>::value, "shared memory has no constructors");
    explicit shared_pointer(shared_array *array, size_t start = 0) : array_(array), start_(start) {
    }
    // An index below the array becomes huge, and is refused like one beyond it.
    template <class I> shared_element<T> operator[](I index) const {
        return {array_, start_ + (size_t)index};
    }
    template <class I> shared_pointer operator+(I offset) const {
        return shared_pointer(array_, start_ + (size_t)offset);
    }
    shared_element<T> operator*() const {
        return {array_, start_};
    }

  private:
    shared_array *array_;
    size_t start_;
};

// ---- launches ----------------------------------------------------------------------------------

// Checks the configuration and appends the kernel to the stream; `thread` runs one thread of it.
// The next cudaGetLastError returns an error, as with a real launch.
void launch(const char *name, const void *kernel, dim3 grid, dim3 block, size_t shared_bytes,
            cudaStream_t stream, bool cooperative, std::function<void()> thread);
// Fails when argument `number` (from 0) of the kernel is not an address of device memory (or null).
void check_pointer(const char *name, int number, const void *pointer);

template <class T> void check_argument(const char *name, int number, const T &argument) {
    if constexpr (std::is_pointer<T>::value)
        check_pointer(name, number, (const void *)argument);
}

// Arguments are copied now, in the types of the kernel's parameters.
template <class... P, class... A>
void launch_kernel(const char *name, void (*kernel)(P...), dim3 grid, dim3 block,
                   size_t shared_bytes, cudaStream_t stream, bool cooperative,
                   const A &...arguments) {
    std::tuple<std::decay_t<P>...> copies(arguments...);
    std::apply(
        [name](const auto &...copy) {
            int number = 0;
            (check_argument(name, number++, copy), ...);
            (void)number;
        },
        copies);
    launch(name, (const void *)kernel, grid, block, shared_bytes, stream, cooperative,
           [kernel, copies]() { std::apply(kernel, copies); });
}

} // namespace cudasim

#define SHARED(type, name, count)                                                                  \
    static cudasim::shared_site name##_site = {#name, false, 0, nullptr};                          \
    const cudasim::shared_pointer<type> name(                                                      \
        cudasim::shared_open(&name##_site, count, sizeof(type)))
#define SHARED_DYNAMIC(type, name)                                                                 \
    static cudasim::shared_site name##_site = {#name, true, 0, nullptr};                           \
    const cudasim::shared_pointer<type> name(cudasim::shared_open(&name##_site, 0, sizeof(type)))
#define LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                                     \
    cudasim::launch_kernel(#kernel, kernel, grid, block, shared_bytes, stream, false, __VA_ARGS__)
#define LAUNCH_COOPERATIVE(kernel, grid, block, shared_bytes, stream, ...)                         \
    cudasim::launch_kernel(#kernel, kernel, grid, block, shared_bytes, stream, true, __VA_ARGS__)

#endif
