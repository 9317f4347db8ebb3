// Poolings of windows that lie side by side.
//
// Where an element of a window is many numbers side by side (the channels), a vector holds some of
// these, and stays in a register over all taps. Where it is one number, a vector holds that of
// several windows, and the taps go over a block of windows in cache.
#include "kernels/declared.h"
#include "kernels/simd/vector.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {
namespace {

using std::int32_t;
using std::int64_t;

// --- Vectors over the numbers of an element ---

// V is a Vector<T> or a HalfVector<T>.

// Numbers of taps as T holds them, which is exact up to 2^24.
template <typename V, typename T>
CHAINRULE_INLINE V load_numbers(const int32_t* from, int64_t count) {
  T lanes[V::lanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = static_cast<T>(from[i]);
  return V::load(lanes);
}
template <typename V, typename T>
CHAINRULE_INLINE void store_numbers(V numbers, int32_t* to, int64_t count) {
  T lanes[V::lanes];
  numbers.store(lanes);
  for (int64_t i = 0; i < count; ++i) to[i] = static_cast<int32_t>(lanes[i]);
}

// All of a vector, or `count` of its lanes.
template <bool partial, typename V, typename T>
CHAINRULE_INLINE V load(const T* from, int64_t count) {
  return partial ? V::load_partial(from, count) : V::load(from);
}
template <bool partial, typename V, typename T>
CHAINRULE_INLINE void store(V value, T* to, int64_t count) {
  if constexpr (partial) {
    value.store_partial(to, count);
  } else {
    value.store(to);
  }
}

// Calls visit<partial>(place of x, place of y, count) for each vector of each window, from left to
// right. With `reaches_over` the last vector of an element may reach into those behind it, whose
// own vectors come later: what is loaded there does not count, what is stored there is stored anew.
template <typename V, typename Visit>
CHAINRULE_INLINE void for_each_vector(const PoolRun& run, bool reaches_over, Visit visit) {
  constexpr int64_t lanes = V::lanes;
  const int64_t x_end = (run.windows - 1) * run.step, y_end = run.windows * run.inner;
  for (int64_t w = 0; w < run.windows; ++w) {
    const int64_t x = run.first + w * run.step;
    const int64_t y = w * run.inner;
    int64_t i = 0;
    for (; i + lanes <= run.inner; i += lanes)
      visit.template operator()<false>(x + i, y + i, lanes);
    if (i == run.inner) continue;
    if (reaches_over && w * run.step + lanes <= x_end && y + i + lanes <= y_end) {
      visit.template operator()<false>(x + i, y + i, lanes);
    } else {
      visit.template operator()<true>(x + i, y + i, run.inner - i);
    }
  }
}

// The taps of windows, those that are `known` to the compiler in registers; 0: any number of them.
template <typename T, typename V, int known>
struct Taps {
  static constexpr int64_t most = known > 0 ? known : 1;
  const PoolRun& run;
  int64_t at[most];
  V numbers[most];

  CHAINRULE_INLINE explicit Taps(const PoolRun& of) : run(of) {
    if constexpr (known > 0) {
      for (int t = 0; t < known; ++t) {
        at[t] = of.taps[t];
        numbers[t] = V::broadcast(static_cast<T>(of.numbers[t]));
      }
    }
  }
  CHAINRULE_INLINE int64_t count() const { return known > 0 ? known : run.tap_count; }
  CHAINRULE_INLINE int64_t offset(int64_t t) const { return known > 0 ? at[t] : run.taps[t]; }
  CHAINRULE_INLINE V number(int64_t t) const {
    return known > 0 ? numbers[t] : V::broadcast(static_cast<T>(run.numbers[t]));
  }
};

// Calls visit(taps): windows of 2 x 2 are the most frequent ones.
template <typename T, typename V, typename Visit>
CHAINRULE_INLINE void with_taps(const PoolRun& run, Visit visit) {
  if (run.tap_count == 4) {
    visit(Taps<T, V, 4>(run));
  } else {
    visit(Taps<T, V, 0>(run));
  }
}

template <typename T, typename V>
void max_of_vectors(const PoolRun& run, const T* x, T* y, int32_t* numbers) {
  with_taps<T, V>(run, [&](const auto& taps) CHAINRULE_INLINE_LAMBDA {
    for_each_vector<V>(
        run, true,
        [&]<bool partial>(int64_t at, int64_t to, int64_t count) CHAINRULE_INLINE_LAMBDA {
          auto largest = load<partial, V>(x + (at + taps.offset(0)), count);
          auto number = taps.number(0);
          for (int64_t t = 1; t < taps.count(); ++t) {
            const auto element = load<partial, V>(x + (at + taps.offset(t)), count);
            const auto is_larger = (element > largest) | (element != element);
            largest = select(is_larger, element, largest);
            number = select(is_larger, taps.number(t), number);
          }
          store<partial>(largest, y + to, count);
          if (numbers != nullptr) store_numbers<V, T>(number, numbers + to, count);
        });
  });
}

template <typename T, typename V>
void sum_of_vectors(const PoolRun& run, const T* x, const int32_t* numbers, T* y) {
  with_taps<T, V>(run, [&](const auto& taps) CHAINRULE_INLINE_LAMBDA {
    for_each_vector<V>(
        run, true,
        [&]<bool partial>(int64_t at, int64_t to, int64_t count) CHAINRULE_INLINE_LAMBDA {
          auto sum = V::broadcast(T(0));
          if (numbers == nullptr) {
            for (int64_t t = 0; t < taps.count(); ++t) {
              sum = sum + load<partial, V>(x + (at + taps.offset(t)), count);
            }
          } else {
            const auto number = load_numbers<V, T>(numbers + to, count);
            for (int64_t t = 0; t < taps.count(); ++t) {
              const auto element = load<partial, V>(x + (at + taps.offset(t)), count);
              sum = select(number == taps.number(t), element, sum);
            }
          }
          store<partial>(sum, y + to, count);
        });
  });
}

template <typename T, typename V, bool adds>
void spread_vectors(const PoolRun& run, const T* g, const int32_t* numbers, T* x) {
  // Of more than a vector, the first ones of the next tap have been stored before the last of this.
  const bool reaches_over = !adds && run.inner < V::lanes;
  with_taps<T, V>(run, [&](const auto& taps) CHAINRULE_INLINE_LAMBDA {
    const auto spread = [&]<bool partial>(int64_t at, int64_t from,
                                          int64_t count) CHAINRULE_INLINE_LAMBDA {
      const auto given = load<partial, V>(g + from, count);
      const auto number = numbers != nullptr ? load_numbers<V, T>(numbers + from, count) : given;
      for (int64_t t = 0; t < taps.count(); ++t) {
        T* const to = x + (at + taps.offset(t));
        auto part = given;
        if (numbers != nullptr) part = select_or_zero(number == taps.number(t), given);
        if constexpr (adds) part = load<partial, V>(static_cast<const T*>(to), count) + part;
        store<partial>(part, to, count);
      }
    };
    for_each_vector<V>(run, reaches_over, spread);
  });
}

// Calls visit<V>() for the vectors that suit an element of a window.
template <typename T, typename Visit>
CHAINRULE_INLINE void by_width(const PoolRun& run, Visit visit) {
  if (run.inner <= HalfVector<T>::lanes) {
    visit.template operator()<HalfVector<T>>();
  } else {
    visit.template operator()<Vector<T>>();
  }
}

// --- Vectors over windows ---

constexpr int64_t block = 256;  // windows, whose results stay in L1

// Calls visit<step>(first window, count) for each block; a step of 0 is run.step. Loops over a step
// that the compiler knows become vectors.
template <typename Visit>
CHAINRULE_INLINE void for_each_block(const PoolRun& run, Visit visit) {
  for (int64_t w = 0; w < run.windows; w += block) {
    const int64_t count = run.windows - w < block ? run.windows - w : block;
    if (run.step == 1) {
      visit.template operator()<1>(w, count);
    } else if (run.step == 2) {
      visit.template operator()<2>(w, count);
    } else {
      visit.template operator()<0>(w, count);
    }
  }
}

template <typename T, bool with_numbers>
void max_of_windows(const PoolRun& run, const T* x, T* y, int32_t* taps) {
  for_each_block(run, [&]<int known>(int64_t w, int64_t count) {
    const int64_t step = known == 0 ? run.step : known;
    T* __restrict const largest = y + w;
    int32_t* __restrict const number = with_numbers ? taps + w : nullptr;
    const T* __restrict from = x + (run.first + w * step + run.taps[0]);
    for (int64_t i = 0; i < count; ++i) {
      largest[i] = from[i * step];
      if constexpr (with_numbers) number[i] = run.numbers[0];
    }
    for (int64_t t = 1; t < run.tap_count; ++t) {
      from = x + (run.first + w * step + run.taps[t]);
      const int32_t of_tap = run.numbers[t];
      for (int64_t i = 0; i < count; ++i) {
        const T element = from[i * step];
        const bool is_larger = (element > largest[i]) | (element != element);
        largest[i] = is_larger ? element : largest[i];
        if constexpr (with_numbers) number[i] = is_larger ? of_tap : number[i];
      }
    }
  });
}

template <typename T>
void sum_of_windows(const PoolRun& run, const T* x, const int32_t* taps, T* y) {
  for_each_block(run, [&]<int known>(int64_t w, int64_t count) {
    const int64_t step = known == 0 ? run.step : known;
    T* __restrict const sum = y + w;
    for (int64_t i = 0; i < count; ++i) sum[i] = 0;
    for (int64_t t = 0; t < run.tap_count; ++t) {
      const T* __restrict const from = x + (run.first + w * step + run.taps[t]);
      if (taps == nullptr) {
        for (int64_t i = 0; i < count; ++i) sum[i] += from[i * step];
      } else {
        const int32_t* __restrict const number = taps + w;
        const int32_t of_tap = run.numbers[t];
        for (int64_t i = 0; i < count; ++i) {
          sum[i] = number[i] == of_tap ? from[i * step] : sum[i];
        }
      }
    }
  });
}

template <typename T, bool adds>
void spread_windows(const PoolRun& run, const T* g, const int32_t* taps, T* x) {
  if (adds && taps != nullptr && run.has_all) {
    for (int64_t w = 0; w < run.windows; ++w) {
      const int32_t tap = taps[w];
      if (tap < 0 || tap >= run.tap_count) continue;  // no tap, and so none of the window's
      x[run.first + w * run.step + run.taps[tap]] += g[w];
    }
    return;
  }
  for_each_block(run, [&]<int known>(int64_t w, int64_t count) {
    const int64_t step = known == 0 ? run.step : known;
    const T* __restrict const given = g + w;
    for (int64_t t = 0; t < run.tap_count; ++t) {
      T* __restrict const to = x + (run.first + w * step + run.taps[t]);
      const int32_t of_tap = run.numbers[t];
      for (int64_t i = 0; i < count; ++i) {
        const T part = taps == nullptr || taps[w + i] == of_tap ? given[i] : T(0);
        to[i * step] = adds ? to[i * step] + part : part;
      }
    }
  });
}

template <typename T>
void fill_results(const PoolRun& run, T value, T* y) {
  for (int64_t i = 0; i < run.windows * run.inner; ++i) y[i] = value;
}

}  // namespace

template <typename T>
void max_pool(const PoolRun& run, const T* x, T* y, int32_t* taps) {
  if (run.tap_count == 0) {
    fill_results(run, lowest<T>, y);
    if (taps != nullptr) fill_results(run, int32_t{0}, taps);
  } else if (run.inner > 1) {
    by_width<T>(run, [&]<typename V>() { max_of_vectors<T, V>(run, x, y, taps); });
  } else if (taps != nullptr) {
    max_of_windows<T, true>(run, x, y, taps);
  } else {
    max_of_windows<T, false>(run, x, y, taps);
  }
}

template <typename T>
void sum_pool(const PoolRun& run, const T* x, const int32_t* taps, T* y) {
  if (run.inner > 1) {
    by_width<T>(run, [&]<typename V>() { sum_of_vectors<T, V>(run, x, taps, y); });
  } else {
    sum_of_windows(run, x, taps, y);
  }
}

template <typename T>
void spread_pool(const PoolRun& run, const T* g, const int32_t* taps, T* x, bool adds) {
  if (run.inner > 1) {
    by_width<T>(run, [&]<typename V>() {
      (adds ? spread_vectors<T, V, true> : spread_vectors<T, V, false>)(run, g, taps, x);
    });
  } else {
    (adds ? spread_windows<T, true> : spread_windows<T, false>)(run, g, taps, x);
  }
}

template void max_pool(const PoolRun&, const float*, float*, int32_t*);
template void max_pool(const PoolRun&, const double*, double*, int32_t*);
template void sum_pool(const PoolRun&, const float*, const int32_t*, float*);
template void sum_pool(const PoolRun&, const double*, const int32_t*, double*);
template void spread_pool(const PoolRun&, const float*, const int32_t*, float*, bool);
template void spread_pool(const PoolRun&, const double*, const int32_t*, double*, bool);

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
