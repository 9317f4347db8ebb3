#include "runtime/fma_peak.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

namespace chainrule {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

struct Span {
  Clock::time_point begin;
  Clock::time_point end;
};

// Lets threads begin together. A gate that is destroyed unopened, as by an exception, sends the
// waiting threads away.
class StartingGate {
 public:
  explicit StartingGate(int threads) : missing_(threads) {}

  bool arrive_and_wait() {
    missing_.fetch_sub(1);
    while (missing_.load() > 0) {
      if (closed_.load()) return false;
      std::this_thread::yield();
    }
    return true;
  }
  void close() { closed_.store(true); }

 private:
  std::atomic<int> missing_;
  std::atomic<bool> closed_ = false;
};

class JoiningThreads {
 public:
  explicit JoiningThreads(StartingGate& gate) : gate_(gate) {}
  JoiningThreads(const JoiningThreads&) = delete;
  JoiningThreads& operator=(const JoiningThreads&) = delete;
  ~JoiningThreads() {
    gate_.close();
    join();
  }

  template <typename Work>
  void start(Work work) {
    threads_.emplace_back(work);
  }
  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  StartingGate& gate_;
  std::vector<std::thread> threads_;
};

// The chains converge to 2: far from overflow, and from denormals, which are slow.
template <typename Scalar>
Span timed(const FmaChains<Scalar>& chains, std::int64_t iterations) {
  Span span;
  span.begin = Clock::now();
  volatile Scalar used = chains.run(iterations, Scalar(0.5), Scalar(1));
  static_cast<void>(used);
  span.end = Clock::now();
  return span;
}

// Seconds from the first thread's begin to the last one's end.
template <typename Scalar>
double repetition(const FmaChains<Scalar>& chains, int threads, std::int64_t iterations) {
  std::vector<Span> spans(static_cast<std::size_t>(threads));
  StartingGate gate(threads);
  JoiningThreads pool(gate);
  for (Span& span : spans) {
    pool.start([&] {
      if (gate.arrive_and_wait()) span = timed(chains, iterations);
    });
  }
  pool.join();
  const auto first = std::ranges::min(spans, {}, &Span::begin);
  const auto last = std::ranges::max(spans, {}, &Span::end);
  return Seconds(last.end - first.begin).count();
}

// How many iterations take a millisecond or more, doubled from a count too small to measure.
template <typename Scalar>
double iterations_per_second(const FmaChains<Scalar>& chains) {
  for (std::int64_t iterations = 1024;; iterations *= 2) {
    const Span span = timed(chains, iterations);
    const double seconds = Seconds(span.end - span.begin).count();
    if (seconds >= 1e-3) return static_cast<double>(iterations) / seconds;
  }
}

}  // namespace

template <typename Scalar>
double fma_peak(const FmaChains<Scalar>& chains, int threads, double seconds) {
  // Short, so that among many some meet no other work on the machine.
  constexpr double repetition_seconds = 5e-3;
  constexpr double least_repetitions = 5;
  const double repetitions = std::max(least_repetitions, seconds / repetition_seconds);
  const double share = iterations_per_second(chains) * seconds / repetitions;
  const auto iterations = std::max<std::int64_t>(1, static_cast<std::int64_t>(share));
  const double flops = static_cast<double>(chains.flops_per_iteration) *
                       static_cast<double>(iterations) * static_cast<double>(threads);
  double best = 0;
  for (int i = 0; i < repetitions; ++i) {
    best = std::max(best, flops / repetition(chains, threads, iterations));
  }
  return best / 1e9;
}

template double fma_peak(const FmaChains<float>&, int, double);
template double fma_peak(const FmaChains<double>&, int, double);

}  // namespace chainrule
