// The header of a qcow2 file: its fields, its extensions, and the numbers that follow from them.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "block/api/storage.h"
#include "block/qcow2/spec.h"

namespace vireo::block::qcow2 {

struct Extension {
  u32 type = 0;
  std::vector<u8> data;
};

/// The datasheet's names.
struct Header {
  u32 version = 3;
  u32 cluster_bits = 16;
  u64 size = 0;     ///< bytes
  u32 l1_size = 0;  ///< entries
  u64 l1_table_offset = 0;
  u64 refcount_table_offset = 0;
  u32 refcount_table_clusters = 0;
  u32 nb_snapshots = 0;
  u64 snapshots_offset = 0;
  u64 incompatible_features = 0, compatible_features = 0, autoclear_features = 0;
  u32 refcount_order = 4;
  Compression compression_type = Compression::Zlib;
  std::string backing_file, backing_format, data_file;
  std::vector<Extension> others;  ///< kept as they are

  u64 cluster_size() const { return u64{1} << cluster_bits; }
  bool extended_l2() const { return (incompatible_features & incompatible::ExtendedL2) != 0; }
  bool has_data_file() const { return (incompatible_features & incompatible::DataFile) != 0; }
  bool raw_data_file() const { return has_data_file() && (autoclear_features & autoclear::RawDataFile) != 0; }
  bool dirty() const { return (incompatible_features & incompatible::Dirty) != 0; }
  bool lazy_refcounts() const { return (compatible_features & compatible::LazyRefcounts) != 0; }

  u32 l2_entry_size() const { return extended_l2() ? 16 : 8; }  ///< bytes
  u64 l2_entries() const { return cluster_size() / l2_entry_size(); }
  u32 subclusters() const { return extended_l2() ? kSubclusters : 1; }
  u64 subcluster_size() const { return cluster_size() / subclusters(); }
  u64 refcount_block_entries() const { return cluster_size() * 8 >> refcount_order; }
  u64 max_refcount() const { return refcount_order == 6 ? ~u64{0} : (u64{1} << (1 << refcount_order)) - 1; }
  u64 clusters_for(u64 bytes) const { return (bytes + cluster_size() - 1) >> cluster_bits; }
  u64 l1_entries_for(u64 bytes) const { return (clusters_for(bytes) + l2_entries() - 1) / l2_entries(); }
};

/// Reads and checks. Errors: Usage; incompatible features that are unknown are named.
Result<Header> read_header(Storage& file);
/// The file's first cluster, or Usage when it does not fit.
Result<std::vector<u8>> format_header(const Header& header);
/// The fields, into the file's first sector; extensions and names stay.
void patch_header(const Header& header, std::span<u8> sector);

}  // namespace vireo::block::qcow2
