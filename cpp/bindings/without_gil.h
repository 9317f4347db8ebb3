#pragma once

#include <nanobind/nanobind.h>

namespace chainrule {

// Python's lock (the GIL) released while this lives.
//
// When Python ends, a daemon thread that asks for the lock is ended by unwinding its stack, which a
// destructor does not survive: the process would abort. So a thread that comes back then stays here
// until the process is gone.
class WithoutGil {
 public:
  WithoutGil();
  ~WithoutGil();
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* const state_;
};

// A call of the core that may keep the lock and itself calls Python, where the lock may be asked
// for, while this lives: once Python ends, no other thread begins one, and Python waits for those
// that have begun.
class CallOfCore {
 public:
  CallOfCore();
  ~CallOfCore();
  CallOfCore(const CallOfCore&) = delete;
  CallOfCore& operator=(const CallOfCore&) = delete;
};

// Has Python wait at its end until no other thread is at work in the core.
void register_end_of_python();

// How long it waits at most. A run comes back within a tenth of a second, unless one step takes
// longer; ten seconds unless this says otherwise.
void set_longest_wait_at_end(double seconds);

}  // namespace chainrule
