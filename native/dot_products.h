// Products of low precision: what differs between instruction sets, and nothing else.
//
// A row and a column are multiplied group by group: `GROUP` neighbours of k, which stand together in
// both. Weights are vectors of one group of each of LANES units, rows one group in every lane.
//
//   Int8   values within -127 and 127, exact sums in int32
//            VNNI        groups of 4 by one instruction. It takes unsigned bytes for the rows, so
//                        128 stands for 0 there; sums begin at -128 times the sum of the weights
//            AVX2        groups of 4, unsigned bytes by signed ones, added in pairs in int16, then
//                        in pairs of these. The rows' signs go over to the weights, so that the
//                        first sums cannot saturate, as they would with an offset
//            elsewhere   groups of 2, rows and weights widened to int16
//   Bf16   float32 sums
//            AVX512_BF16 groups of 2 by one instruction, which rounds in its own way
//            tiles       as those: tile_product.h multiplies them
//            elsewhere   weights widened to float32, one chain of fused multiply-adds as in gemm.h

#pragma once

#include "isa.h"
#include "simd.h"

namespace birnn {
namespace {

using Floats = Vec<float>;
using Ints = Int<float>;
constexpr int FLOAT_LANES = LANES<float>;

typedef Ints UnalignedInts __attribute__((aligned(1), may_alias));

template <class Item>
inline Item load_item(const void* p) {
  Item item;
  __builtin_memcpy(&item, p, sizeof(Item));
  return item;
}

// What an instruction multiplies that takes a whole group of each: vectors of weights, and one group
// of a row in every lane.
struct WholeGroups {
  using Factors = Ints;            // of the instruction, both of them
  static constexpr int STEPS = 1;  // instructions for a group

  template <int STEP>
  static inline Factors weights(const void* group) {
    return *static_cast<const UnalignedInts*>(group);
  }

  template <int STEP>
  static inline Factors row(const void* group) {
    return load_item<int32_t>(group) - Ints{};
  }
};

struct Int8 : WholeGroups {
  using Weight = int8_t;
  using Sums = Ints;
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
  using Row = uint8_t;
  static constexpr int GROUP = 4;
  static constexpr int ZERO = 128;  // what stands for 0 in rows

  static inline void add(Sums& sums, Factors row, Factors weights) {
#if defined(__AVX512VNNI__)
    asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(row), "v"(weights));
#else
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums) : "x"(row), "x"(weights));
#endif
  }
#elif defined(__AVX2__)
  using Row = int8_t;
  static constexpr int GROUP = 4;
  static constexpr int ZERO = 0;

  // |row| times weights that have taken over its signs: two such products are 32258 at most.
  static inline void add(Sums& sums, Factors row, Factors weights) {
    const Ints ones = 0x00010001 - Ints{};
    Ints magnitude, pairs;
    asm("vpabsb %1, %0" : "=v"(magnitude) : "v"(row));
#if BIRNN_VECTOR_BYTES == 64
    uint64_t negative;
    asm("vpmovb2m %1, %0" : "=Yk"(negative) : "v"(row));
    asm("vpsubb %0, %2, %0 %{%1%}" : "+v"(weights) : "Yk"(negative), "v"(Ints{}));
#else
    asm("vpsignb %1, %0, %0" : "+x"(weights) : "x"(row));
#endif
    asm("vpmaddubsw %2, %1, %0" : "=v"(pairs) : "v"(magnitude), "v"(weights));
    asm("vpmaddwd %1, %0, %0" : "+v"(pairs) : "v"(ones));
    sums += pairs;
  }
#else
  using Row = int16_t;
  static constexpr int GROUP = 2;
  static constexpr int ZERO = 0;

  template <int STEP>
  static inline Factors weights(const void* group) {
    constexpr int bytes = 2 * FLOAT_LANES;
    typedef int8_t Narrow __attribute__((vector_size(bytes)));
    typedef int16_t Wide __attribute__((vector_size(2 * bytes)));
    return reinterpret_cast<Ints>(__builtin_convertvector(load_item<Narrow>(group), Wide));
  }

  static inline void add(Sums& sums, Factors row, Factors weights) {
#if defined(__SSE2__)
    asm("pmaddwd %1, %0" : "+x"(row) : "x"(weights));
    sums += row;
#elif __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    sums += ((row << 16) >> 16) * ((weights << 16) >> 16) + (row >> 16) * (weights >> 16);
#else
#error "the lower half of a group would be its second number"
#endif
  }
#endif
};

#if defined(__AVX512BF16__) || BIRNN_TILES
struct Bf16 : WholeGroups {
  using Row = uint16_t;

  static inline void add(Floats& sums, Factors row, Factors weights) {
    asm("vdpbf16ps %2, %1, %0" : "+v"(sums) : "v"(row), "v"(weights));
  }
#else
struct Bf16 {
  using Factors = Floats;
  using Row = float;  // rounded to bfloat16
  static constexpr int STEPS = 2;

  template <int STEP>
  static inline Factors weights(const void* group) {
    const Ints both = *static_cast<const UnalignedInts*>(group);
    return reinterpret_cast<Floats>(STEP == 0 ? both << 16 : both & ~0xffff);
  }

  template <int STEP>
  static inline Factors row(const Row* group) {
    return broadcast<float>(group[STEP]);
  }

  static inline void add(Floats& sums, Factors row, Factors weights) { sums += row * weights; }
#endif
  using Weight = uint16_t;
  using Sums = Floats;
  static constexpr int GROUP = 2;
};

}  // namespace
}  // namespace birnn
