#include "block/qcow2/tables.h"

#include <algorithm>

#include "base/bytes.h"

namespace vireo::block::qcow2 {

Io<> Tables::commit(u64 epoch) {
  if (file_.broken) return std::unexpected(Status::IoError);
  if (data_ != nullptr) TRY(data_->flush());
  if (counted() || refcounts_.crowded()) TRY(refcounts_.write_blocks());
  TRY(file_.file.flush());
  if (counted() && refcounts_.table_dirty()) {
    TRY(refcounts_.write_table());
    TRY(file_.file.flush());
  }
  if (mapping_.dirty()) {
    TRY(mapping_.write_l2());
    TRY(file_.file.flush());
    if (mapping_.l1_dirty()) {
      TRY(mapping_.write_l1());
      TRY(file_.file.flush());
    }
  }
  return refcounts_.settle(epoch);
}

Io<> Tables::finish() {
  while (mapping_.dirty() || refcounts_.releasing() || refcounts_.dirty()) {
    TRY(commit());
    TRY(refcounts_.write_blocks());
    if (!refcounts_.table_dirty()) continue;
    TRY(file_.file.flush());
    TRY(refcounts_.write_table());
  }
  TRY(file_.file.flush());
  if (header().dirty()) return mark(incompatible::Dirty, false);
  return {};
}

Io<> Tables::begin_changes() {
  if (file_.broken || file_.file.read_only()) return std::unexpected(Status::ReadOnly);
  if (!header().lazy_refcounts() || header().dirty()) return {};
  return mark(incompatible::Dirty, true);
}

Io<> Tables::mark(u64 incompatible_feature, bool set) {
  if (header().version < 3) return {};
  if (set) {
    file_.header.incompatible_features |= incompatible_feature;
  } else {
    file_.header.incompatible_features &= ~incompatible_feature;
  }
  return file_.switch_over();
}

Io<> Tables::refer(const Cluster& cluster, int delta, bool discard) {
  if (!cluster.compressed && !cluster.allocated) return {};
  if (header().has_data_file()) return {};
  const u64 first = cluster.host >> header().cluster_bits;
  const u64 bytes = cluster.compressed ? cluster.compressed_bytes : 1;
  const u64 last = (cluster.host + bytes - 1) >> header().cluster_bits;
  for (u64 number = first; number <= last; ++number) {
    if (delta < 0) {
      refcounts_.release(number, discard);
    } else {
      TRY(refcounts_.add(number, delta));
    }
  }
  return {};
}

Io<u64> Tables::write_table(std::span<const u8> bytes) {
  const u64 clusters = std::max<u64>(1, header().clusters_for(bytes.size()));
  TRY_ASSIGN(const u64 place, refcounts_.allocate(clusters));
  std::vector<u8> whole(clusters << header().cluster_bits);
  std::copy(bytes.begin(), bytes.end(), whole.begin());
  TRY(file_.file.write(place, std::span<const u8>(whole)));
  return place;
}

Io<> Tables::grow_l1(u64 entries) {
  if (entries <= header().l1_size) return {};
  if (entries * 8 > kMaxL1Bytes) return std::unexpected(Status::OutOfRange);
  TRY(commit());
  std::vector<u8> bytes(entries * 8);
  for (std::size_t i = 0; i < mapping_.l1().size(); ++i) store_be(bytes.data() + i * 8, mapping_.l1()[i]);
  TRY_ASSIGN(const u64 place, write_table(bytes));
  TRY(commit());
  const u64 old_place = header().l1_table_offset, old_bytes = u64{header().l1_size} * 8;
  file_.header.l1_table_offset = place;
  file_.header.l1_size = static_cast<u32>(entries);
  TRY(file_.switch_over());
  TRY(mapping_.reload());
  release_clusters(old_place, old_bytes);
  return {};
}

void Tables::release_clusters(u64 offset, u64 bytes) {
  for (u64 i = 0; i < header().clusters_for(bytes); ++i) {
    refcounts_.release((offset >> header().cluster_bits) + i, false);
  }
}

}  // namespace vireo::block::qcow2
