// The linear chain in float64: log-partition, marginals and gradient, best path. Included after
// vector.inl.
//
// A sequence's answers are made from its own rows alone, in an order that only its length and the
// number of labels give: the same bits in every batch.
//
// L labels, P labels padded to whole vectors, T steps

namespace chain {

#include "chain_lanes.inl"

#include "chain_room.inl"

#include "chain_sums.inl"

#include "chain_paths.inl"

}  // namespace chain

constexpr ChainKernels chain_kernels = {chain::scratch, chain::sums, chain::paths};
