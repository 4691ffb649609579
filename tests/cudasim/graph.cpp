// graph.cpp: graphs of the stand-in: the nodes of a capture, and the orders in which their edges
// let them run.

#include "runtime.hpp"

#include <algorithm>

namespace cudasim {
namespace {

struct plan {
    std::vector<node> nodes;
    size_t branches;
    std::vector<long> depth; // of each node: the nodes of the longest chain that ends with it
    int launches = 0;        // so far
};

// At so many launches the branches of a graph are compared and its kernels run in both orders. Its
// edges, its kernels and their sizes never change, so more would find little, and take twice the time.
enum { COMPARED_LAUNCHES = 1 };

} // namespace
} // namespace cudasim

struct CUgraph_st {
    long number;
    std::shared_ptr<cudasim::plan> plan;
};

struct CUgraphExec_st {
    long number;
    std::shared_ptr<cudasim::plan> plan;
};

namespace cudasim {
namespace {

struct graph_store {
    std::vector<cudaGraph_t> graphs;
    std::vector<cudaGraphExec_t> execs;
    long made = 0;
};

graph_store &the() {
    static graph_store *state = new graph_store; // outlives every atexit handler
    return *state;
}

template <class T> void remove_from(std::vector<T> *all, T one, const char *call) {
    auto found = std::find(all->begin(), all->end(), one);
    if (found == all->end())
        fail("%s: the graph does not exist (any more)", call);
    all->erase(found);
    delete one;
}

void need_exec(cudaGraphExec_t exec, const char *call) {
    if (std::find(the().execs.begin(), the().execs.end(), exec) == the().execs.end())
        fail("%s: the executable graph does not exist (any more)", call);
}

// ---- edges -------------------------------------------------------------------------------------

std::vector<long> depths(const std::vector<node> &nodes) {
    std::vector<long> depth;
    for (const node &n : nodes) {
        long most = 0;
        for (size_t before : n.after)
            most = std::max(most, depth[before]);
        depth.push_back(most + 1);
    }
    return depth;
}

void count_nodes(const plan &p) {
    the_counts().graph_nodes = (long)p.nodes.size();
    the_counts().graph_chain =
        p.depth.empty() ? 0 : *std::max_element(p.depth.begin(), p.depth.end());
}

// For each node, which ones run before it in any case.
std::vector<std::vector<bool>> earlier_nodes(const std::vector<node> &nodes) {
    std::vector<std::vector<bool>> earlier(nodes.size(), std::vector<bool>(nodes.size()));
    for (size_t i = 0; i < nodes.size(); i++)
        for (size_t before : nodes[i].after) {
            earlier[i][before] = true;
            for (size_t j = 0; j < before; j++)
                if (earlier[before][j])
                    earlier[i][j] = true;
        }
    return earlier;
}

bool overlap(const span &a, const span &b) {
    const char *x = (const char *)a.start, *y = (const char *)b.start;
    return a.bytes > 0 && b.bytes > 0 && x < y + b.bytes && y < x + a.bytes;
}

void check_unordered(const operation &a, const operation &b) {
    for (const span &x : a.spans)
        for (const span &y : b.spans)
            if ((x.written || y.written) && overlap(x, y))
                fail("%s (%s) and %s (%s) are captured in streams that no event orders, and use "
                     "the same memory: %s",
                     a.name.c_str(), x.name, b.name.c_str(), y.name,
                     describe(allocation_near(std::max(x.start, y.start))).c_str());
}

// What kernels use is not known: of them, running a graph in several orders tells.
void check_branches(const plan &p) {
    if (p.branches == 1)
        return;
    std::vector<std::vector<bool>> earlier = earlier_nodes(p.nodes);
    for (size_t i = 0; i < p.nodes.size(); i++)
        for (size_t j = 0; j < i; j++)
            if (!earlier[i][j])
                check_unordered(p.nodes[j].op, p.nodes[i].op);
}

// ---- orders ------------------------------------------------------------------------------------

void add_with_earlier(const plan &p, size_t i, std::vector<bool> *added,
                      std::vector<size_t> *order) {
    if ((*added)[i])
        return;
    for (size_t before : p.nodes[i].after)
        add_with_earlier(p, before, added, order);
    (*added)[i] = true;
    order->push_back(i);
}

// The nodes of one branch as early as possible, and only what they need before them. So each of
// them runs before every node that no edge puts before it.
std::vector<size_t> branch_first(const plan &p, size_t branch) {
    std::vector<size_t> order;
    std::vector<bool> added(p.nodes.size());
    for (size_t each = 0; each < p.branches; each++)
        for (size_t i = 0; i < p.nodes.size(); i++)
            if (p.nodes[i].branch == (branch + each) % p.branches)
                add_with_earlier(p, i, &added, &order);
    return order;
}

// All branches side by side, the last one a little ahead.
std::vector<size_t> side_by_side(const plan &p) {
    std::vector<size_t> order(p.nodes.size());
    for (size_t i = 0; i < order.size(); i++)
        order[i] = i;
    std::sort(order.begin(), order.end(), [&p](size_t a, size_t b) {
        return p.depth[a] != p.depth[b] ? p.depth[a] < p.depth[b]
                                        : p.nodes[a].branch > p.nodes[b].branch;
    });
    return order;
}

std::vector<size_t> order_of(const plan &p) {
    switch (chosen_order()) {
    case CUDASIM_LATEST:
        return branch_first(p, 0);
    case CUDASIM_EARLIEST:
        return side_by_side(p);
    case CUDASIM_OTHER:
        return branch_first(p, p.branches - 1);
    }
    return {};
}

using works = std::vector<std::function<void()>>;

void run_in(const std::vector<size_t> &order, const works &all) {
    for (size_t i : order)
        all[i]();
}

void run_graph(long number, plan &p, const works &all) {
    bool known = ++p.launches > COMPARED_LAUNCHES;
    if (p.branches == 1 || !work_runs_twice() || known) {
        kernels_are_known(known);
        run_in(order_of(p), all);
        kernels_are_known(false);
        return;
    }
    graph_begins();
    for (size_t branch = 0; branch < p.branches; branch++) {
        run_in(branch_first(p, branch), all);
        graph_run_ends("graph " + std::to_string(number), branch + 1 == p.branches);
    }
}

} // namespace

cudaGraph_t make_graph(capture_state *capture) {
    auto made = std::make_shared<plan>();
    made->nodes = std::move(capture->nodes);
    made->branches = capture->branches;
    made->depth = depths(made->nodes);
    check_branches(*made);
    the().graphs.push_back(new CUgraph_st{++the().made, made});
    return the().graphs.back();
}

void report_leaked_graphs(std::vector<std::string> *lines) {
    for (cudaGraph_t graph : the().graphs)
        lines->push_back("graph " + std::to_string(graph->number));
    for (cudaGraphExec_t exec : the().execs)
        lines->push_back("executable graph " + std::to_string(exec->number));
}

} // namespace cudasim

using namespace cudasim;

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long) {
    api_call call("cudaGraphInstantiate");
    the_counts().allocations++;
    if (std::find(the().graphs.begin(), the().graphs.end(), graph) == the().graphs.end())
        fail("cudaGraphInstantiate: the graph does not exist (any more)");
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    *exec = new CUgraphExec_st{++the().made, graph->plan};
    the().execs.push_back(*exec);
    count_nodes(*graph->plan);
    return call.end(cudaSuccess);
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream) {
    api_call call("cudaGraphUpload");
    need_stream(stream, "cudaGraphUpload");
    need_exec(exec, "cudaGraphUpload");
    return call.end(cudaSuccess);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    api_call call("cudaGraphLaunch");
    need_stream(stream, "cudaGraphLaunch");
    need_exec(exec, "cudaGraphLaunch");
    if (stream->capture)
        fail(
            "cudaGraphLaunch into a stream that is captured: the stand-in has no graphs in graphs");
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    the_counts().graph_launches++;
    count_nodes(*exec->plan);
    operation op;
    works all;
    for (const node &n : exec->plan->nodes) {
        the_counts().launches += n.op.launch;
        the_counts().copies += n.op.copy;
        all.push_back(n.op.issue());
        op.hosts.insert(op.hosts.end(), n.op.hosts.begin(), n.op.hosts.end());
    }
    op.work = [number = exec->number, plan = exec->plan, all]() { run_graph(number, *plan, all); };
    issue(stream, std::move(op));
    return call.end(cudaSuccess);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    api_call call("cudaGraphDestroy");
    the_counts().allocations++;
    remove_from(&the().graphs, graph, "cudaGraphDestroy");
    return call.end(cudaSuccess);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    api_call call("cudaGraphExecDestroy");
    the_counts().allocations++;
    remove_from(&the().execs, exec, "cudaGraphExecDestroy");
    return call.end(cudaSuccess);
}
