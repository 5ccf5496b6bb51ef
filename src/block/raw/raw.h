// The raw format: the disk's bytes are the storage's, from its beginning.
//
// Storage whose size is no multiple of the block size reads as if zeroes followed; a write of the last block makes it
// whole.
//
// A file that nobody said is raw, and was taken for it because its first bytes mean nothing, keeps meaning nothing:
// a guest that wrote another format's header there (a qcow2 header that names a file of the host as its backing file)
// would choose what it gets to see the next time. Such a write fails (Guard).
#pragma once

#include <memory>

#include "block/api/image.h"

namespace vireo::block {

enum class Guard : u8 { Off, On };

std::unique_ptr<Image> make_raw(std::unique_ptr<Storage> storage, Guard guard);

/// The format that these first bytes of a file say it is in: "qcow2", or one that is not supported; empty when they
/// mean nothing.
std::string_view probe(std::span<const u8> beginning);
constexpr u64 kProbed = 512;  ///< bytes that probe() wants

}  // namespace vireo::block
