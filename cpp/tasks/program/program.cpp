#include "tasks/program/program.h"

#include <algorithm>
#include <cstring>

namespace chainrule {
namespace {

// Rows shorter than this share a block.
constexpr std::int64_t short_row = 256;
// A loop of few elements is faster than a call.
constexpr std::int64_t few = 32;

}  // namespace

template <typename T>
void ElementwiseProgram<T>::run_chain(const PreparedChain& chain, T* const* slots,
                                      std::int64_t count) {
  T* results[most_chain_results];
  const T* inputs[most_chain_inputs];
  for (int i = 0; i < chain.result_count; ++i) results[i] = slots[chain.results[i]];
  for (int i = 0; i < chain.input_count; ++i) inputs[i] = slots[chain.inputs[i]];
  chain.kernel(results, inputs, count);
}

template <typename T>
void ElementwiseProgram<T>::fill(T* out, T value, std::int64_t count) const {
  if (count < few) {
    for (std::int64_t i = 0; i < count; ++i) out[i] = value;
  } else {
    fill_(out, value, count);
  }
}

template <typename T>
void ElementwiseProgram<T>::read(const PreparedLoad& load, T* out, const std::byte* from,
                                 std::int64_t count) {
  if (load.convert != nullptr) {
    load.convert(out, from, count);
  } else {
    std::memcpy(out, from, static_cast<std::size_t>(count) * sizeof(T));
  }
}

template <typename T>
T ElementwiseProgram<T>::element(const PreparedLoad& load, const std::byte* from) const {
  T value;
  read(load, &value, from, 1);
  return value;
}

// What is the same in every block of a region.
template <typename T>
void ElementwiseProgram<T>::load_once(const PreparedLoad& load, const Region& region,
                                      const Block& largest, T** slots) const {
  T* const own_block = slots[load.register_slot];
  slots[load.slot] = own_block;
  if (load.kind == Kind::scalar) {
    fill(own_block, element(load, load.data), copies(largest));
  } else if (load.kind == Kind::row && largest.rows > 1) {
    read(load, own_block, load.data + region.column_begin * load.itemsize, largest.columns);
    for (std::int64_t done = largest.columns; done < largest.count();) {
      const std::int64_t more = std::min(done, largest.count() - done);
      std::memcpy(own_block + done, own_block, static_cast<std::size_t>(more) * sizeof(T));
      done += more;
    }
  }
}

template <typename T>
void ElementwiseProgram<T>::load(const PreparedLoad& load, const Block& block, bool new_row,
                                 T** slots) const {
  T* const own_block = slots[load.register_slot];
  if (load.kind == Kind::random) {
    draw(load, block, own_block);
    slots[load.slot] = own_block;
    return;
  }
  const std::byte* const from =
      load.data + (block.row * load.row_stride + (load.kind == Kind::per_row ? 0 : block.column)) *
                      load.itemsize;
  const std::int64_t row_bytes = load.row_stride * load.itemsize;
  switch (load.kind) {
    case Kind::scalar:
    case Kind::random:
      return;
    case Kind::per_row:
      if (!new_row) return;
      for (std::int64_t row = 0; row < block.rows; ++row) {
        fill(own_block + row * block.columns, element(load, from + row * row_bytes), block.columns);
      }
      return;
    case Kind::row:
      if (block.rows > 1) {
        slots[load.slot] = own_block;  // a block of one row may have pointed elsewhere
        return;
      }
      break;
    case Kind::matrix:
      if (block.rows > 1 && load.row_stride != block.columns) {
        for (std::int64_t row = 0; row < block.rows; ++row) {
          read(load, own_block + row * block.columns, from + row * row_bytes, block.columns);
        }
        slots[load.slot] = own_block;
        return;
      }
      break;
  }
  if (load.in_place) {
    // The kernels only read through it.
    slots[load.slot] = const_cast<T*>(reinterpret_cast<const T*>(from));
  } else {
    read(load, own_block, from, block.count());
  }
}

template <typename T>
void ElementwiseProgram<T>::point(const PreparedStore& store, const Block& block, T** slots) const {
  if (!store.written_in_place) return;
  const bool is_contiguous = block.rows == 1 || store.row_stride == block.columns;
  slots[store.source] =
      is_contiguous ? reinterpret_cast<T*>(store.data) + block.row * store.row_stride + block.column
                    : slots[store.register_slot];
}

template <typename T>
void ElementwiseProgram<T>::store(const PreparedStore& store, const Block& block,
                                  T* const* slots) const {
  const T* from = slots[store.source];
  std::byte* to = store.data + (block.row * store.row_stride + block.column) * store.itemsize;
  const bool is_contiguous = block.rows == 1 || store.row_stride == block.columns;
  const std::int64_t pieces = is_contiguous ? 1 : block.rows;
  const std::int64_t piece = is_contiguous ? block.count() : block.columns;
  for (std::int64_t i = 0; i < pieces; ++i) {
    if (store.convert != nullptr) {
      store.convert(to, from, piece);
    } else if (static_cast<const void*>(to) != static_cast<const void*>(from)) {
      std::memcpy(to, from, static_cast<std::size_t>(piece) * sizeof(T));
    }
    from += piece;
    to += store.row_stride * store.itemsize;
  }
}

template <typename T>
void ElementwiseProgram<T>::run(const Region& region, std::byte* scratch, T* piece) const noexcept {
  const std::int64_t rows = region.row_end - region.row_begin;
  const std::int64_t columns = region.column_end - region.column_begin;
  if (rows <= 0 || columns <= 0) return;
  const std::int64_t most = is_one_chain_ ? columns : block_;
  Block largest = {region.row_begin, 1, region.column_begin, std::min(columns, most)};
  const bool can_join = rows_follow_ && columns == columns_ && 2 * columns <= block_;
  if (can_join || (columns < short_row && columns <= block_)) {
    largest.rows = std::min(rows, block_ / columns);
    largest.columns = columns;
  }

  T** const slots = reinterpret_cast<T**>(scratch);
  T* const registers = reinterpret_cast<T*>(scratch + table_bytes_);
  for (std::int64_t i = 0; i < register_slots_; ++i) slots[i] = registers + i * register_stride_;
  for (const PreparedConstant& constant : constants_) {
    fill(slots[constant.register_slot], constant.value, copies(largest));
  }
  for (const PreparedLoad& load : loads_) load_once(load, region, largest, slots);

  if (has_sums()) {
    T* const sums = reinterpret_cast<T*>(scratch + table_bytes_ + register_bytes_);
    if (piece != nullptr) return sum_rows_of(region, largest, slots, sums, piece);
    Region of_a_sum = region;
    for (std::int64_t row = region.row_begin; row < region.row_end; row += rows_of_a_sum_) {
      of_a_sum.row_begin = row;
      of_a_sum.row_end = row + rows_of_a_sum_;
      sum_rows_of(of_a_sum, largest, slots, sums, nullptr);
    }
    return;
  }
  for (std::int64_t row = region.row_begin; row < region.row_end; row += largest.rows) {
    for (std::int64_t column = region.column_begin; column < region.column_end;
         column += largest.columns) {
      const Block block = {row, std::min(largest.rows, region.row_end - row), column,
                           std::min(largest.columns, region.column_end - column)};
      run_block(block, column == region.column_begin, slots);
    }
  }
}

template <typename T>
void ElementwiseProgram<T>::run_block(const Block& block, bool new_row, T** slots) const {
  for (const PreparedLoad& one : loads_) load(one, block, new_row, slots);
  for (const PreparedStore& one : stores_) point(one, block, slots);
  const std::int64_t count = block.count();
  for (const Operation& prepared : operations_) {
    if (prepared.kernel == nullptr) {
      run_chain(chains_[prepared.out], slots, count);
    } else {
      prepared.kernel(slots[prepared.out], slots[prepared.a], slots[prepared.b], slots[prepared.c],
                      count);
    }
  }
  for (const PreparedStore& one : stores_) store(one, block, slots);
}

// The rows of one sum. Column by column, each from the first row to the last: how the columns are
// shared out does not matter. `sums` has a row for the sum that grows, then one for each level of
// pairs, of each sum.
template <typename T>
void ElementwiseProgram<T>::sum_rows_of(const Region& region, const Block& largest, T** slots,
                                        T* sums, T* piece) const {
  const std::int64_t each = (sum_levels_ + 1) * register_stride_;
  for (std::int64_t column = region.column_begin; column < region.column_end;
       column += largest.columns) {
    const std::int64_t columns = std::min(largest.columns, region.column_end - column);
    std::int64_t finished = 0;  // blocks of rows_added rows: bit l says that level l is in use
    for (std::int64_t first = region.row_begin; first < region.row_end; first += rows_added) {
      const std::int64_t end = std::min(first + rows_added, region.row_end);
      for (std::int64_t row = first; row < end; row += largest.rows) {
        const Block block = {row, std::min(largest.rows, end - row), column, columns};
        run_block(block, true, slots);
        for (std::size_t i = 0; i < sums_.size(); ++i) {
          T* const sum = sums + static_cast<std::int64_t>(i) * each;
          if (block.rows == end - first) {
            sum_({.out = sum,
                  .x = slots[sums_[i].source],
                  .outer = 1,
                  .length = block.rows,
                  .inner = columns,
                  .inner_total = columns});
            continue;
          }
          if (row == first) fill(sum, T(0), columns);
          add_rows(sum, slots[sums_[i].source], block.rows, columns);
        }
      }
      for (std::size_t i = 0; i < sums_.size(); ++i) {
        T* const sum = sums + static_cast<std::int64_t>(i) * each;
        T* level = sum + register_stride_;
        for (std::int64_t l = finished; l & 1; l >>= 1, level += register_stride_) {
          add_(sum, level, sum, sum, columns);
        }
        const bool is_last = end == region.row_end;
        T* const out = piece != nullptr
                           ? piece + static_cast<std::int64_t>(i) * columns_
                           : sums_[i].out + region.row_begin / rows_of_a_sum_ * columns_;
        T* const to = is_last ? out + column : level;
        if (is_last) {  // what is left on higher levels
          std::int64_t l = finished;
          T* rest = sum + register_stride_;
          for (; l & 1; l >>= 1) rest += register_stride_;
          for (; l != 0; l >>= 1, rest += register_stride_) {
            if (l & 1) add_(sum, rest, sum, sum, columns);
          }
        }
        std::memcpy(to, sum, static_cast<std::size_t>(columns) * sizeof(T));
      }
      ++finished;
    }
  }
}

// The pairs of sum_rows_of, from its level on that a piece is. The sum of some pieces stands where
// that of the last one did.
template <typename T>
void ElementwiseProgram<T>::join_pieces(std::int64_t number, T* pieces,
                                        std::int64_t count) const noexcept {
  const std::int64_t each = piece_sums();
  for (std::int64_t i = 0; i < count; ++i) {
    T* const sum = pieces + i * each;
    const bool is_last = i == count - 1;
    for (std::int64_t l = 0; i >> l != 0; ++l) {  // bit l of i: the last 2^l pieces before wait
      if ((i >> l & 1) == 0) {
        if (!is_last) break;
        continue;
      }
      const T* const earlier = pieces + ((i >> l << l) - 1) * each;
      add_(sum, earlier, sum, sum, each);
    }
  }
  const T* from = pieces + (count - 1) * each;
  for (const PreparedSum& sum : sums_) {
    std::memcpy(sum.out + number * columns_, from, static_cast<std::size_t>(columns_) * sizeof(T));
    from += columns_;
  }
}

template <typename T>
void ElementwiseProgram<T>::add_rows(T* to, const T* from, std::int64_t rows,
                                     std::int64_t columns) const {
  for (std::int64_t row = 0; row < rows; ++row, from += columns) {
    add_(to, to, from, from, columns);
  }
}

template <typename T>
void ElementwiseProgram<T>::draw(const PreparedLoad& load, const Block& block, T* out) const {
  const auto* const state = reinterpret_cast<const std::uint64_t*>(load.data);
  const std::int64_t first = block.row * load.row_stride + block.column;
  if (block.rows == 1 || load.row_stride == block.columns) {
    random_uniform_(out, state[0], state[1], first, block.count());
    return;
  }
  for (std::int64_t row = 0; row < block.rows; ++row) {
    random_uniform_(out + row * block.columns, state[0], state[1], first + row * load.row_stride,
                    block.columns);
  }
}

template class ElementwiseProgram<float>;
template class ElementwiseProgram<double>;
template class ElementwiseProgram<std::int64_t>;

}  // namespace chainrule
