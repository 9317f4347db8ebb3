#include "bindings/without_gil.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace nb = nanobind;

namespace chainrule {
namespace {

using Seconds = std::chrono::duration<double>;
std::atomic<Seconds> longest_wait = Seconds(10);
constexpr auto between_looks = std::chrono::milliseconds(1);

std::atomic<std::int64_t> at_work = 0;
std::atomic<bool> python_ends = false;
thread_local bool ends_python = false;
thread_local std::int64_t own = 0;  // how often `at_work` counts this thread

void enter() {
  at_work.fetch_add(1);
  ++own;
}

void leave() {
  at_work.fetch_sub(1);
  --own;
}

[[noreturn]] void stay() {
  at_work.fetch_sub(own);
  for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

// Called by the thread that ends Python, with the lock.
void end_of_python() {
  ends_python = true;
  python_ends.store(true);
  nb::gil_scoped_release released;  // for those that decided to come back before they could know
  const auto begin = std::chrono::steady_clock::now();
  while (at_work.load() != 0 && std::chrono::steady_clock::now() - begin < longest_wait.load()) {
    std::this_thread::sleep_for(between_looks);
  }
}

}  // namespace

WithoutGil::WithoutGil() : state_((enter(), PyEval_SaveThread())) {}

WithoutGil::~WithoutGil() {
  if (python_ends.load() && !ends_python) stay();
  PyEval_RestoreThread(state_);
  leave();
}

CallOfCore::CallOfCore() {
  if (python_ends.load() && !ends_python) {
    PyEval_SaveThread();
    stay();
  }
  enter();
}

CallOfCore::~CallOfCore() { leave(); }

void set_longest_wait_at_end(double seconds) { longest_wait.store(Seconds(seconds)); }

void register_end_of_python() {
#if !defined(_WIN32)
  // A forked process has none of the other threads.
  pthread_atfork(nullptr, nullptr, [] { at_work.store(0); });
#endif
  nb::module_::import_("atexit").attr("register")(nb::cpp_function(&end_of_python));
}

}  // namespace chainrule
