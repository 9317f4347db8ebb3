// An elementwise program made ready to run: operation by operation over blocks that stay in L1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tasks/building.h"

namespace chainrule {

// A part of the program's rows and columns.
struct Region {
  std::int64_t row_begin, row_end, column_begin, column_end;
};

// In three files: preparation.cpp has the constructor, chains.cpp finds chains for it, program.cpp
// runs.
template <typename T>
class ElementwiseProgram {
 public:
  // `merge_axes` lets rows() and columns() differ from the program's: where all elements follow
  // each other, they are one row. Throws std::invalid_argument for a kernel that T lacks.
  ElementwiseProgram(const Program& program, const Building& building, bool merge_axes);

  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }
  std::int64_t block() const { return block_; }
  std::int64_t scratch_bytes() const { return table_bytes_ + register_bytes_ + sum_bytes_; }
  bool has_sums() const { return !sums_.empty(); }
  // Of which a region has to have all, where there are sums, or none; or it is a piece of them.
  std::int64_t rows_of_a_sum() const { return rows_of_a_sum_; }
  // Rows that are summed one by one; the sums of these are added in pairs, pairs of pairs and so
  // on. The rows of a sum can be cut into pieces of this number times a power of two.
  static constexpr std::int64_t rows_added = 32;
  // How many numbers the sums of a piece are.
  std::int64_t piece_sums() const { return static_cast<std::int64_t>(sums_.size()) * columns_; }
  std::int64_t fused_chains() const { return static_cast<std::int64_t>(chains_.size()); }
  // Of one thread, roughly.
  double nanoseconds() const { return nanoseconds_; }

  // `scratch`: scratch_bytes(), aligned to cache_line. `piece`: null, or where the sums of the
  // region go, piece_sums() numbers, if it is a piece of a sum's rows and has all columns.
  void run(const Region& region, std::byte* scratch, T* piece = nullptr) const noexcept;
  // Sum number `number` over its rows from the sums of its pieces, which are overwritten: the same
  // bits as in one go.
  void join_pieces(std::int64_t number, T* pieces, std::int64_t count) const noexcept;

 private:
  class Preparation;

  // An operand is a slot of a table of pointers to a block's elements, which lies in the scratch:
  //
  //   0 ... register_slots_ - 1   blocks in the scratch: one of each register, and another of each
  //                               register that is loaded and then overwritten
  //   then one slot per load      the memory itself where it can be read in place, else a block
  //   then one slot per store     the memory itself where the last operation can write in place
  using Slot = std::uint16_t;

  struct Operation {
    ElementwiseKernel<T> kernel;  // null: a chain
    Slot out, a, b, c;            // of a chain: out is its number in chains_
  };
  struct PreparedChain {
    ChainKernel<T> kernel;
    Slot results[most_chain_results], inputs[most_chain_inputs];
    int result_count, input_count;
    unsigned scalars;  // as in Chain
  };
  enum class Kind : std::uint8_t { scalar, per_row, row, matrix, random };
  struct PreparedLoad {
    const std::byte* data;
    LoadKernel<T> convert;    // null: the dtype is T's
    std::int64_t row_stride;  // in elements
    std::int64_t itemsize;
    Kind kind;
    bool in_place;
    Slot slot, register_slot;
  };
  struct PreparedStore {
    std::byte* data;
    StoreKernel<T> convert;  // null: the dtype is T's
    std::int64_t row_stride;
    std::int64_t itemsize;
    bool written_in_place;  // by the last operation on the register, where a block is contiguous
    Slot source, register_slot;
  };
  struct PreparedSum {
    T* out;
    Slot source;
  };
  struct PreparedConstant {
    T value;
    Slot register_slot;
  };
  struct Block {
    std::int64_t row, rows, column, columns;
    std::int64_t count() const { return rows * columns; }
  };

  // Of a number that is the same for all elements. A chain reads it once.
  std::int64_t copies(const Block& largest) const { return is_one_chain_ ? 1 : largest.count(); }
  void merge(Program& program) const;
  void choose_sizes();
  void fuse(const Program& program, const Kernels<T>& kernels);
  bool needs_no_blocks() const;
  static void run_chain(const PreparedChain& chain, T* const* slots, std::int64_t count);
  void load_once(const PreparedLoad& load, const Region& region, const Block& largest,
                 T** slots) const;
  void load(const PreparedLoad& load, const Block& block, bool new_row, T** slots) const;
  void point(const PreparedStore& store, const Block& block, T** slots) const;
  void store(const PreparedStore& store, const Block& block, T* const* slots) const;
  void run_block(const Block& block, bool new_row, T** slots) const;
  void sum_rows_of(const Region& region, const Block& largest, T** slots, T* sums, T* piece) const;
  void add_rows(T* to, const T* from, std::int64_t rows, std::int64_t columns) const;
  void draw(const PreparedLoad& load, const Block& block, T* out) const;
  void fill(T* out, T value, std::int64_t count) const;
  T element(const PreparedLoad& load, const std::byte* from) const;
  static void read(const PreparedLoad& load, T* out, const std::byte* from, std::int64_t count);

  std::int64_t rows_ = 0, columns_ = 0, rows_of_a_sum_ = 0;
  std::int64_t block_ = 0;            // elements at once
  bool is_one_chain_ = false;         // on memory alone: it takes all elements at once
  std::int64_t register_stride_ = 0;  // elements
  std::int64_t table_bytes_ = 0, register_bytes_ = 0, sum_bytes_ = 0;
  std::int64_t sum_levels_ = 0;
  std::int64_t register_slots_ = 0;
  bool rows_follow_ = true;  // each other without a gap, in all matrices
  double nanoseconds_ = 0;
  std::vector<PreparedLoad> loads_;
  std::vector<PreparedConstant> constants_;
  std::vector<Operation> operations_;
  std::vector<PreparedChain> chains_;
  std::vector<PreparedStore> stores_;
  std::vector<PreparedSum> sums_;
  decltype(Kernels<T>::fill) fill_;
  ElementwiseKernel<T> add_;
  ReduceKernel<T> sum_;
  decltype(Kernels<T>::random_uniform) random_uniform_;
};

}  // namespace chainrule
