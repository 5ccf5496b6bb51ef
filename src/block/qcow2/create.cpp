#include "block/qcow2/create.h"

#include <bit>

#include "base/bytes.h"
#include "block/api/status.h"

namespace vireo::block::qcow2 {
namespace {

Result<Header> header_of(const NewImage& image) {
  Header header;
  const auto wrong = [](std::string_view what) { return fail(ErrorKind::Usage, "{}", what); };
  if (image.version != 2 && image.version != 3)
    return wrong("there are the versions 2 (compat=0.10) and 3 (compat=1.1)");
  if (!std::has_single_bit(image.cluster_size) || image.cluster_size < 512 || image.cluster_size > 2 * kMiB) {
    return wrong("cluster_size is a power of two from 512 to 2M");
  }
  if (!std::has_single_bit(image.refcount_bits) || image.refcount_bits > 64) {
    return wrong("refcount_bits is 1, 2, 4, 8, 16, 32 or 64");
  }
  header.version = image.version;
  header.cluster_bits = static_cast<u32>(std::countr_zero(image.cluster_size));
  header.refcount_order = static_cast<u32>(std::countr_zero(image.refcount_bits));
  header.size = image.size;
  const bool new_features = image.refcount_bits != 16 || image.compression != Compression::Zlib || image.extended_l2 ||
                            image.lazy_refcounts || !image.data_file.empty();
  if (image.version == 2 && new_features) return wrong("version 2 (compat=0.10) has none of the newer features");
  if (image.extended_l2) {
    if (header.cluster_bits < kMinExtendedL2ClusterBits)
      return wrong("extended_l2 needs a cluster_size of 16K or more");
    header.incompatible_features |= incompatible::ExtendedL2;
  }
  if (image.compression != Compression::Zlib) {
    header.incompatible_features |= incompatible::CompressionType;
    header.compression_type = image.compression;
  }
  if (image.lazy_refcounts) header.compatible_features |= compatible::LazyRefcounts;
  if (!image.data_file.empty()) {
    header.incompatible_features |= incompatible::DataFile;
    header.data_file = image.data_file;
    if (image.data_file_raw) header.autoclear_features |= autoclear::RawDataFile;
    if (image.data_file_raw && !image.backing_file.empty())
      return wrong("data_file_raw and a backing file exclude each other");
  } else if (image.data_file_raw) {
    return wrong("data_file_raw goes with data_file");
  }
  header.backing_file = image.backing_file;
  header.backing_format = image.backing_format;
  if ((image.size & 511) != 0) return wrong("the size is not a multiple of 512");
  if (image.size > u64{1} << 60 || header.l1_entries_for(image.size) * 8 > kMaxL1Bytes) {
    return wrong("the disk is too large for its cluster_size");
  }
  return header;
}

Io<> write_tables(Storage& file, Header& header, std::vector<u8>& first_cluster) {
  // Header, refcount table, refcount blocks, L1 table.
  const u64 size = header.cluster_size();
  header.l1_size = static_cast<u32>(std::max<u64>(1, header.l1_entries_for(header.size)));
  const u64 l1 = header.clusters_for(u64{header.l1_size} * 8);
  u64 table = 1, blocks = 1;
  for (;;) {
    const u64 all = 1 + table + blocks + l1;
    const u64 need = (all + header.refcount_block_entries() - 1) / header.refcount_block_entries();
    const u64 need_table = header.clusters_for(need * 8);
    if (need == blocks && need_table == table) break;
    blocks = need;
    table = need_table;
  }
  const u64 all = 1 + table + blocks + l1;
  std::vector<u8> bytes(all * size);
  header.refcount_table_offset = size;
  header.refcount_table_clusters = static_cast<u32>(table);
  header.l1_table_offset = (1 + table + blocks) * size;
  for (u64 i = 0; i < blocks; ++i) store_be(bytes.data() + size + i * 8, (1 + table + i) * size);
  u8* counts = bytes.data() + (1 + table) * size;
  const u64 bits = u64{1} << header.refcount_order;
  for (u64 i = 0; i < all; ++i) {
    const u64 at = i * bits;
    if (bits < 8) {
      counts[at / 8] = static_cast<u8>(counts[at / 8] | 1 << at % 8);
    } else {
      counts[at / 8 + bits / 8 - 1] = 1;
    }
  }
  patch_header(header, first_cluster);
  TRY(file.write(size, std::span<const u8>(bytes).subspan(size)));
  TRY(file.flush());
  TRY(file.write(0, std::span<const u8>(first_cluster)));
  return file.flush();
}

}  // namespace

Result<> create(Storage& file, const NewImage& image) {
  TRY_ASSIGN(Header header, header_of(image));
  TRY_ASSIGN(auto first_cluster, format_header(header));
  if (auto written = write_tables(file, header, first_cluster); !written) {
    return fail(ErrorKind::Failed, "cannot write {}: {}", file.name(), describe(written.error()));
  }
  return {};
}

}  // namespace vireo::block::qcow2
