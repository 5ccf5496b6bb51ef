// The qcow2 format's numbers (QEMU's docs/interop/qcow2: "Header", "Host cluster management", "Cluster mapping",
// "Snapshots"). Everything on disk is big-endian.
#pragma once

#include "base/types.h"

namespace vireo::block::qcow2 {

constexpr u32 kMagic = 0x514649FB;  // "QFI\xFB"

// Offsets in the header
namespace field {
enum : u32 {
  magic = 0,
  version = 4,
  backing_file_offset = 8,
  backing_file_size = 16,
  cluster_bits = 20,
  size = 24,
  crypt_method = 32,
  l1_size = 36,
  l1_table_offset = 40,
  refcount_table_offset = 48,
  refcount_table_clusters = 56,
  nb_snapshots = 60,
  snapshots_offset = 64,
  incompatible_features = 72,
  compatible_features = 80,
  autoclear_features = 88,
  refcount_order = 96,
  header_length = 100,
  compression_type = 104,
};
}
constexpr u32 kHeaderV2 = 72, kHeaderV3 = 104, kHeaderLength = 112;  ///< bytes: least of each, ours
constexpr u32 kMaxBackingName = 1023;

namespace incompatible {
enum : u64 { Dirty = 1 << 0, Corrupt = 1 << 1, DataFile = 1 << 2, CompressionType = 1 << 3, ExtendedL2 = 1 << 4 };
constexpr u64 kKnown = Dirty | Corrupt | DataFile | CompressionType | ExtendedL2;
}  // namespace incompatible
namespace compatible {
enum : u64 { LazyRefcounts = 1 << 0 };
}
namespace autoclear {
enum : u64 { Bitmaps = 1 << 0, RawDataFile = 1 << 1 };
}

// Header extensions
namespace extension {
enum : u32 {
  End = 0,
  BackingFormat = 0xE2792ACA,
  FeatureNames = 0x6803F857,
  Bitmaps = 0x23852875,
  Encryption = 0x0537BE77,
  DataFileName = 0x44415441,
};
}

enum class Compression : u8 { Zlib = 0, Zstd = 1 };

constexpr u32 kMinClusterBits = 9, kMaxClusterBits = 21;
constexpr u32 kMinExtendedL2ClusterBits = 14;
constexpr u32 kSubclusters = 32;
constexpr u32 kMaxRefcountOrder = 6;

// What we take from a file before we call it nonsense; QEMU's limits.
constexpr u64 kMaxL1Bytes = 32 * kMiB;
constexpr u64 kMaxRefcountTableBytes = 8 * kMiB;
constexpr u32 kMaxSnapshots = 65536;
constexpr u64 kMaxSnapshotTableBytes = 64 * kMiB;
constexpr u32 kMaxSnapshotExtra = 1024;

// L1 and L2 entries
constexpr u64 kCopied = u64{1} << 63;      ///< refcount is exactly one
constexpr u64 kCompressed = u64{1} << 62;  ///< L2
constexpr u64 kZero = 1;                   ///< L2, version 3, not with extended entries
constexpr u64 kOffsetMask = 0x00FFFFFFFFFFFE00;
constexpr u64 kRefcountOffsetMask = 0xFFFFFFFFFFFFFE00;
constexpr u64 kMaxHostOffset = u64{1} << 56;

}  // namespace vireo::block::qcow2
