/* loss.cu: mean softmax cross-entropy, its gradient and the counters, in one kernel.
 *
 * Reads logits and labels once and writes dlogits once (the second and third read of a logit hit
 * the first-level cache): 10 KB for 128 images of 10 classes, so the kernel's time is latency. One
 * block does everything, with one thread per image: the sums over the batch then stay in the block
 * and in a fixed order, and no second kernel or workspace is needed. The price: a batch of more
 * than MAX_THREADS images needs several iterations while the other multiprocessors idle; the
 * networks train and evaluate with batches of hundreds. */
#include "kernels/reduce.cuh"

enum { MAX_THREADS = 1024 };

/* What an image, or a thread's images, add to the counters. */
struct tally {
    double loss;
    int correct;
};

/* One image: its loss is log(sum exp(logit - max)) - (logit[label] - max). A logit that is not
 * finite makes it NaN or infinite. */
__device__ static struct tally image_loss(float *dlogits, const float *logits, int label,
                                          int classes, float share) {
    int best = 0;
    float largest = logits[0], sum = 0;
    for (int c = 1; c < classes; c++)
        if (logits[c] > largest) {
            largest = logits[c];
            best = c;
        }
    for (int c = 0; c < classes; c++)
        sum += expf(logits[c] - largest);
    const float scale = share / sum;
    for (int c = 0; dlogits != NULL && c < classes; c++)
        dlogits[c] = expf(logits[c] - largest) * scale - (c == label ? share : 0);
    return {(double)logf(sum) - ((double)logits[label] - (double)largest), best == label};
}

__global__ static void __launch_bounds__(MAX_THREADS) loss_kernel(struct loss_args a) {
    const float share = 1.0f / (float)a.batch;
    struct tally sum = {0, 0};
    for (size_t n = threadIdx.x; n < (size_t)a.batch; n += blockDim.x) {
        const size_t first = n * (size_t)a.classes;
        const struct tally image = image_loss(a.dlogits == NULL ? NULL : a.dlogits + first,
                                              a.logits + first, a.labels[n], a.classes, share);
        sum.loss += image.loss;
        sum.correct += image.correct;
    }
    sum.loss = block_sum<0>(sum.loss);
    sum.correct = block_sum<1>(sum.correct);
    if (threadIdx.x == 0) {
        a.counters->loss += sum.loss;
        a.counters->correct += (uint64_t)sum.correct;
        a.counters->images += (uint64_t)a.batch;
    }
}

enum status cuda_loss(struct error *error, struct device *device, const struct loss_args *a) {
    const int threads = a->batch < MAX_THREADS ? (a->batch + WARP - 1) / WARP * WARP : MAX_THREADS;
    LAUNCH(loss_kernel, 1, (unsigned)threads, 0, device->compute, *a);
    return check_launch(error, "loss");
}
