// The cells: how gates and states of one step follow from a panel of sums, and the gradients of
// that.
//
// A panel holds PANEL_VECTORS vectors for each row:
//   LSTM      i, f, g, o of one vector of hidden units
//   GRU       r, z, the input part of n, its recurrent part
//   RNN       four vectors of hidden units, one gate
//
// The gradients of the gates stand in rows of blocks, each block as wide as all hidden units. The
// gradient of a panel's vector v is in block `row_block(v)`. The first `gates` blocks multiply
// weight_ih, the last `gates` blocks weight_hh.

#pragma once

#include "gemm.h"
#include "isa.h"
#include "simd.h"
#include "vector_math.h"

namespace birnn {
namespace {

template <class T>
struct Lstm {
  static constexpr int gates = 4;
  static constexpr int unit_vectors = 1;     // vectors of hidden units that belong to a panel
  static constexpr int product_vectors = 4;  // vectors of a panel that a product with weights fills
  static constexpr int last_vector = 3;      // where the last of them stands in a recurrent product
  static constexpr int row_blocks = 4;       // blocks in a row of gradients
  static constexpr bool has_cell_state = true;
  static constexpr bool interpolates =
      false;  // whether h is interpolated between h before and n (GRU)

  static constexpr int row_block(int v) { return v; }

  static void activate(T* panel) {
    constexpr int L = LANES<T>;
    store<T>(panel, sigmoid<T>(load<T>(panel)));
    store<T>(panel + L, sigmoid<T>(load<T>(panel + L)));
    store<T>(panel + 2 * L, tanh<T>(load<T>(panel + 2 * L)));
    store<T>(panel + 3 * L, sigmoid<T>(load<T>(panel + 3 * L)));
  }

  // h and c after the step, from activated gates; c holds the state before and is overwritten.
  static void update(const T* panel, const T*, T* c, T* h) {
    constexpr int L = LANES<T>;
    const Vec<T> state = load<T>(panel + L) * load<T>(c) + load<T>(panel) * load<T>(panel + 2 * L);
    store<T>(c, state);
    store<T>(h, load<T>(panel + 3 * L) * tanh<T>(state));
  }

  // Gradients of the gates; d_h becomes what reaches h before the step past the gates, d_c that of
  // c before the step.
  static void gradient(const T* panel, const T*, const T* c_before, const T* c, T* d_h, T* d_c,
                       T* d_panel) {
    constexpr int L = LANES<T>;
    const Vec<T> i = load<T>(panel), f = load<T>(panel + L), g = load<T>(panel + 2 * L);
    const Vec<T> o = load<T>(panel + 3 * L);
    const Vec<T> tanh_c = tanh<T>(load<T>(c)), d_out = load<T>(d_h);
    const Vec<T> d_state = load<T>(d_c) + d_out * o * (T(1) - tanh_c * tanh_c);
    store<T>(d_panel, d_state * g * i * (T(1) - i));
    store<T>(d_panel + L, d_state * load<T>(c_before) * f * (T(1) - f));
    store<T>(d_panel + 2 * L, d_state * i * (T(1) - g * g));
    store<T>(d_panel + 3 * L, d_out * tanh_c * o * (T(1) - o));
    store<T>(d_c, d_state * f);
  }
};

template <class T>
struct Gru {
  static constexpr int gates = 3;
  static constexpr int unit_vectors = 1;
  static constexpr int product_vectors = 3;
  static constexpr int last_vector = 3;
  static constexpr int row_blocks = 4;
  static constexpr bool has_cell_state = false;
  static constexpr bool interpolates = true;

  // n's input part first: [n_input r z] meets weight_ih, [r z n_recurrent] meets weight_hh.
  static constexpr int row_block(int v) { return v == 0 ? 1 : v == 1 ? 2 : v == 2 ? 0 : 3; }

  static void activate(T* panel) {
    constexpr int L = LANES<T>;
    const Vec<T> r = sigmoid<T>(load<T>(panel));
    store<T>(panel, r);
    store<T>(panel + L, sigmoid<T>(load<T>(panel + L)));
    store<T>(panel + 2 * L, tanh<T>(load<T>(panel + 2 * L) + r * load<T>(panel + 3 * L)));
  }

  static void update(const T* panel, const T* h_before, T*, T* h) {
    constexpr int L = LANES<T>;
    const Vec<T> z = load<T>(panel + L), n = load<T>(panel + 2 * L);
    store<T>(h, n + z * (load<T>(h_before) - n));
  }

  static void gradient(const T* panel, const T* h_before, const T*, const T*, T* d_h, T*,
                       T* d_panel) {
    constexpr int L = LANES<T>;
    const Vec<T> r = load<T>(panel), z = load<T>(panel + L), n = load<T>(panel + 2 * L);
    const Vec<T> recurrent = load<T>(panel + 3 * L), d_out = load<T>(d_h);
    const Vec<T> d_n = d_out * (T(1) - z) * (T(1) - n * n);
    store<T>(d_panel, d_n * recurrent * r * (T(1) - r));
    store<T>(d_panel + L, d_out * (load<T>(h_before) - n) * z * (T(1) - z));
    store<T>(d_panel + 2 * L, d_n);
    store<T>(d_panel + 3 * L, d_n * r);
    store<T>(d_h, d_out * z);
  }
};

template <class T, bool RELU>
struct Elman {
  static constexpr int gates = 1;
  static constexpr int unit_vectors = 4;
  static constexpr int product_vectors = 4;
  static constexpr int last_vector = 3;
  static constexpr int row_blocks = 1;
  static constexpr bool has_cell_state = false;
  static constexpr bool interpolates = false;

  static constexpr int row_block(int) { return 0; }

  static void activate(T* panel) {
    constexpr int L = LANES<T>;
    for (int v = 0; v < PANEL_VECTORS; ++v) {
      const Vec<T> x = load<T>(panel + v * L);
      // Written so that NaN stays: a comparison with it is false.
      store<T>(panel + v * L, RELU ? (x < Vec<T>{} ? Vec<T>{} : x) : tanh<T>(x));
    }
  }

  static void update(const T* panel, const T*, T*, T* h) {
    constexpr int L = LANES<T>;
    for (int v = 0; v < PANEL_VECTORS; ++v) store<T>(h + v * L, load<T>(panel + v * L));
  }

  static void gradient(const T* panel, const T*, const T*, const T*, T* d_h, T*, T* d_panel) {
    constexpr int L = LANES<T>;
    for (int v = 0; v < PANEL_VECTORS; ++v) {
      const Vec<T> h = load<T>(panel + v * L), d_out = load<T>(d_h + v * L);
      const Vec<T> through = RELU ? (h > Vec<T>{} ? d_out : Vec<T>{}) : d_out * (T(1) - h * h);
      store<T>(d_panel + v * L, through);
    }
  }
};

}  // namespace
}  // namespace birnn
