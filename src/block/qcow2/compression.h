// Compressed clusters ("Compressed Clusters Descriptor"): a raw deflate stream with a window of 4 KiB, or a zstd frame.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "block/qcow2/spec.h"

namespace vireo::block::qcow2 {

/// Nothing when it does not become smaller than the cluster.
std::optional<std::vector<u8>> compress(Compression how, std::span<const u8> cluster);
/// `from` may have more bytes behind the data. False unless they make a whole cluster.
bool decompress(Compression how, std::span<const u8> from, std::span<u8> cluster);

}  // namespace vireo::block::qcow2
