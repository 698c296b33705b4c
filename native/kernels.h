// The interface between the portable part of the module and the kernels: arguments of each kernel,
// and the table of kernels of one instruction set.
//
// Both sides include it, so it holds plain data and function pointers only: no code that the linker
// could share between instruction sets (isa.h).
//
// N rows of all sequences, B sequences, D inputs, H hidden units, T steps of the longest sequence

#pragma once

#include <stdint.h>

#include "barrier.h"

namespace birnn {

enum class Cell : int { rnn_tanh, rnn_relu, lstm, gru };

// What the factors of products are. Gates and states are float32 in all but float64.
enum class Precision : int { float32, float64, bf16, int8 };

// What a forward pass saves for the backward pass.
enum class Keep : int {
  nothing,
  gates,       // activated gates and cell states; hidden states are read from the output
  states,      // cell states alone; the backward pass computes the gates again
  everything,  // hidden states as well: the output may be changed after the forward pass
};

struct Shape {
  Cell cell;
  int64_t inputs;      // D
  int64_t hidden;      // H
  int64_t directions;  // 1 or 2
};

// Sequences that run together, longest first, as in a packed sequence. Rows are counted in scan
// order: step by step, the sequences that are still running at each. Consecutive steps form chunks,
// whose input products are computed at once.
struct Block {
  int64_t sequences;
  int64_t steps;  // of the longest
  int64_t chunks;
  int64_t first_row;      // rows of the blocks before this one
  const int64_t* order;   // (sequences) index in the batch
  const int64_t* length;  // (sequences)
  const int64_t* count;   // (steps + 1) sequences running at each step; the last is 0
  const int64_t* first;   // (steps + 1) rows of the steps before, in this block
  const int64_t* chunk;   // (chunks + 1) first step of each chunk
};

// A ragged batch: row of step t of sequence b is starts[b] + steps[t].
struct Batch {
  int64_t sequences;
  int64_t real_rows;        // N, without padding
  int64_t total_steps;      // of all blocks
  int64_t chunk_rows;       // most rows of one chunk
  int64_t block_sequences;  // most sequences of one block
  const int64_t* starts;    // (sequences)
  const int64_t* steps;     // (T)
  int64_t blocks;
  const Block* block;
};

// What the threads of one direction divide among themselves.
enum class Partition : int {
  sequences,  // each runs sequences of its own, and never waits for another
  panels,     // each runs panels of hidden units of its own, with a barrier after every step
};

// Parameters of one direction, or room for their gradients, in torch's layout and gate order.
struct Weights {
  const void* ih;       // (G, D)
  const void* hh;       // (G, H)
  const void* bias_ih;  // (G) or null
  const void* bias_hh;  // (G) or null
  // Of int8: the scale of each row.
  const float* ih_scales = nullptr;  // (G)
  const float* hh_scales = nullptr;  // (G)
};

struct Gradients {
  void* ih;
  void* hh;
  void* bias_ih;  // null where there is none
  void* bias_hh;
};

// Arguments of a forward pass. Pointers are to float or double, as the table of kernels says.
struct Forward {
  Shape shape;
  Keep keep;
  Partition partition;
  const Batch* batch;
  const void* x;           // (rows, D); with `numbers` input products of distinct rows
  const int64_t* numbers;  // (rows) which of these stands at each row; null: x are rows
  int64_t product_row;     // elements from one of these to the next
  const void* packed[2];   // forward weights of each direction, by `pack_forward`
  const void* h0;          // (directions, B, H) or null
  const void* c0;          // likewise
  void* output;            // (rows, directions * H)
  void* h_n;               // (directions, B, H)
  void* c_n;               // likewise, or null
  void* saved[2];          // for the backward pass; null where nothing is kept
  char* workspace[2];      // of `forward_workspace` bytes, shared by a direction's threads
  Barrier barrier[2];
};

// Input products of rows: what each adds to the gates' sums in every direction, biases included,
// without the recurrent part.
struct InputProducts {
  Shape shape;
  const void* x;          // (rows, D)
  const void* packed[2];  // forward weights of each direction
  void* products;         // (rows, directions * product_width)
};

// Arguments of a backward pass.
struct Backward {
  Shape shape;
  Keep keep;
  Partition partition;
  const Batch* batch;
  const void* x;
  Weights weights[2];
  const void* packed[2];  // forward weights, only for Keep::states
  const void* h0;
  const void* c0;
  const void* output;
  const void* saved[2];
  const void* d_output;    // (rows, directions * H) or null
  const void* d_h_n;       // (directions, B, H) or null
  const void* d_c_n;       // likewise
  void* d_x[2];            // (rows, D) of each direction; null where not asked for
  Gradients d_weights[2];  // null where not asked for
  void* d_h0;              // (directions, B, H); null where not asked for
  void* d_c0;              // likewise
  char* workspace[2];
  Barrier barrier[2];
};

// y = x w^T + bias
struct Linear {
  int64_t rows;
  int64_t inputs;
  int64_t outputs;
  const void* x;       // (rows, inputs)
  const void* packed;  // by `pack_linear`
  const void* bias;    // (outputs) or null
  void* y;             // (rows, outputs)
  char* workspace;     // of `linear_workspace` bytes, shared by all threads
};

// The linear chain of a CRF over a ragged batch whose rows lie together, all of it float64.
struct Crf {
  int64_t sequences;
  int64_t labels;             // L
  const int64_t* offsets;     // (sequences + 1)
  const double* emissions;    // (N, L)
  const double* transitions;  // (L, L) [from, to]; minus infinity where not allowed
  const double* start;        // (L)
  const double* end;          // (L)
};

// Sums over all paths, and their gradients. What is null is not asked for.
struct CrfSums {
  double* log_partition;  // (sequences)
  double* marginals;      // (N, L)
  const double* weight;   // (sequences) factor of each sequence in the gradients
  double* d_emissions;    // (N, L) gradient of the weighted sum of log-partitions
  double* d_transitions;  // (parts, L, L) one for each part of the batch: the caller adds them up
  double* d_start;        // (parts, L)
  double* d_end;          // (parts, L)
};

// Spans that labels mark, in the order of their sequences, and how labels mark them.
struct CrfSpans {
  const int64_t* offsets;     // (sequences + 1) of the spans of each sequence
  const int64_t* starts;      // (S) first step of each span
  const int64_t* stops;       // (S) the step after its last
  const int64_t* span_types;  // (S)
  const int64_t* types;       // (L) type of each label; of labels outside of spans below 0
  const uint8_t* first;       // (L) whether it begins a span as the first of a sequence
  const uint8_t* begins;      // (L, L) [from, to] whether `to` begins a span
  const uint8_t* continues;   // (L, L) whether it goes on with that of `from`
  double* marginals;          // (N, L) out
  double* probabilities;      // (S) out
};

// The best path of each sequence.
struct CrfPaths {
  int64_t* tags;   // (N)
  double* scores;  // (sequences)
};

// Attention of query rows over the key rows of their own source, and a value for each key row.
struct Attention {
  int64_t sources;
  int64_t width;                  // A of a query and a key
  int64_t value_width;            // V
  int64_t longest;                // most key rows of a source
  const int64_t* query_offsets;   // (sources + 1)
  const int64_t* key_offsets;     // (sources + 1)
  const int64_t* weight_offsets;  // (sources + 1) pairs of a query and a key before each source
  const void* queries;            // (N, A)
  const void* keys;               // (M, A)
  const void* values;             // (M, V)
  const void* vector;             // (A) of the additive score; null: dot product
};

struct AttentionForward {
  void* contexts;  // (N, V)
  void* weights;   // (pairs), or null
};

struct AttentionBackward {
  const void* weights;     // (pairs) of the forward pass
  const void* d_contexts;  // (N, V) or null
  const void* d_weights;   // (pairs) or null
  void* d_queries;         // (N, A)
  void* d_keys;            // (M, A)
  void* d_values;          // (M, V)
  void* d_vector;          // (parts, A) zeros at first, one row for each part of the batch: the
                           // caller adds them up
};

// The kernels for one instruction set and one precision that inference needs. Each runs the share of
// thread `rank` of `threads`; sizes of workspaces and packed weights are in bytes.
struct InferenceKernels {
  int64_t (*packed_forward)(const Shape*);
  void (*pack_forward)(const Shape*, const Weights*, void* packed, int rank, int threads);
  int64_t (*product_width)(const Shape*);  // elements of a row's input product in one direction
  int64_t (*products_workspace)(const Shape*);  // of one thread
  void (*input_products)(const InputProducts*, int direction, int64_t begin, int64_t end,
                         char* workspace);
  int64_t (*forward_workspace)(const Shape*, const Batch*, Keep, int threads);
  void (*forward)(Forward*, int direction, int rank, int threads);
  int64_t (*packed_linear)(int64_t inputs, int64_t outputs);
  void (*pack_linear)(const void* weight, const float* scales, int64_t inputs, int64_t outputs,
                      void* packed);  // scales of int8 alone
  int64_t (*linear_workspace)(const Linear*);
  void (*linear)(const Linear*, int rank, int threads);
  double (*peak)(int64_t rounds);  // operations of the products' instruction in so many rounds
};

// All kernels for one instruction set and one floating type.
struct Kernels : InferenceKernels {
  int64_t (*saved)(const Shape*, int64_t rows, Keep);  // of one direction, in elements
  int64_t (*backward_workspace)(const Shape*, const Batch*, Keep, int threads);
  void (*backward)(Backward*, int direction, int rank, int threads);
  // Of sources [begin, end), the backward pass into part `part`.
  int64_t (*attention_workspace)(int64_t longest);  // of one thread
  void (*attention)(const Attention*, const AttentionForward*, int64_t begin, int64_t end,
                    char* workspace);
  void (*attention_gradient)(const Attention*, const AttentionBackward*, int64_t begin,
                             int64_t end, int64_t part, char* workspace);
};

// The kernels of low precision that one compiled unit has; null where it has none of its own. They
// keep nothing for a backward pass.
struct LowPrecision {
  const char* name;
  const InferenceKernels* int8;
  const InferenceKernels* bf16;
};

// The CRF is computed in float64 alone. Sequences [begin, end) go into part `part`.
struct CrfKernels {
  int64_t (*workspace)(int64_t labels, int64_t longest);  // bytes for one thread
  void (*sums)(const Crf*, const CrfSums*, int64_t begin, int64_t end, int64_t part,
               char* workspace);
  void (*paths)(const Crf*, const CrfPaths*, int64_t begin, int64_t end, char* workspace);
  int64_t (*span_workspace)(int64_t labels, int64_t longest);
  void (*spans)(const Crf*, const CrfSpans*, int64_t begin, int64_t end, char* workspace);
};

struct Engine {
  const char* name;
  Kernels float32;
  Kernels float64;
  CrfKernels crf;
  LowPrecision low;
};

// One table for each instruction set that was compiled.
extern "C" const Engine* birnn_engine_generic();
extern "C" const Engine* birnn_engine_avx2();
extern "C" const Engine* birnn_engine_avx512();

// And one of low precision alone, for what came after AVX-512.
extern "C" const LowPrecision* birnn_low_avx2_vnni();
extern "C" const LowPrecision* birnn_low_avx512_vnni();
extern "C" const LowPrecision* birnn_low_avx512_bf16();
extern "C" const LowPrecision* birnn_low_amx();
extern "C" const LowPrecision* birnn_low_amx_emulated();

}  // namespace birnn
