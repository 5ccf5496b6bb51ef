#include "block/qcow2/mapping.h"

#include <algorithm>

#include "base/bytes.h"

namespace vireo::block::qcow2 {
namespace {

constexpr u64 kMaxSlice = 4096;

}  // namespace

Mapping::Mapping(HeaderFile& file, Refcounts& refcounts, u64 cache_bytes)
    : file_(file),
      refcounts_(refcounts),
      l2_(file.file, std::min(file.header.cluster_size(), kMaxSlice), cache_bytes) {}

Io<> Mapping::load() {
  std::vector<u8> raw(u64{header().l1_size} * 8);
  TRY(file_.file.read(header().l1_table_offset, raw));
  const std::lock_guard lock(mutex_);
  l1_.resize(header().l1_size);
  for (std::size_t i = 0; i < l1_.size(); ++i) l1_[i] = load_be<u64>(raw.data() + i * 8);
  return {};
}

Io<> Mapping::reload() {
  l2_.forget_all();
  dirty_sectors_.clear();
  return load();
}

std::optional<Cluster> Mapping::peek(u64 index) const {
  const u64 l1_index = index / header().l2_entries();
  u64 table = 0;
  {
    const std::lock_guard lock(mutex_);
    if (l1_index >= l1_.size()) return std::nullopt;
    table = l1_[l1_index] & kOffsetMask;
  }
  if (table == 0) return Cluster{};
  if ((table & (header().cluster_size() - 1)) != 0) return std::nullopt;
  std::array<u8, 16> entry{};
  if (!l2_.peek(place(table, index), std::span(entry).first(header().l2_entry_size()))) return std::nullopt;
  const auto cluster = decode(header(), entry);
  if (!cluster) return std::nullopt;
  return *cluster;
}

Io<Cluster> Mapping::get(u64 index) {
  const u64 l1_index = index / header().l2_entries();
  if (l1_index >= l1_.size()) return std::unexpected(Status::OutOfRange);
  const u64 table = l1_[l1_index] & kOffsetMask;
  if (table == 0) return Cluster{};
  if ((table & (header().cluster_size() - 1)) != 0) return std::unexpected(Status::IoError);
  std::array<u8, 16> entry{};
  TRY(l2_.read(place(table, index), std::span(entry).first(header().l2_entry_size())));
  return decode(header(), entry);
}

void Mapping::set_l1(u64 index, u64 entry) {
  const std::lock_guard lock(mutex_);
  l1_[index] = entry;
  dirty_sectors_.insert(index / 64);
}

Io<u64> Mapping::writable_table(u64 l1_index) {
  const u64 entry = l1_[l1_index], old = entry & kOffsetMask;
  if ((old & (header().cluster_size() - 1)) != 0) return std::unexpected(Status::IoError);
  if (old != 0 && (entry & kCopied) != 0) return old;
  TRY_ASSIGN(const u64 table, refcounts_.allocate(1));
  l2_.forget(table, header().cluster_size());
  Io<> filled;
  if (old == 0) {
    filled = file_.clear(table, header().cluster_size());
  } else {
    // A table that is shared has no changes in memory.
    std::vector<u8> bytes(header().cluster_size());
    filled = file_.file.read(old, bytes);
    if (filled) filled = file_.file.write(table, std::span<const u8>(bytes));
  }
  if (!filled) {
    (void)refcounts_.take_back(table >> header().cluster_bits);
    return std::unexpected(filled.error());
  }
  set_l1(l1_index, table | kCopied);
  if (old != 0) refcounts_.release(old >> header().cluster_bits, false);
  return table;
}

Io<> Mapping::set(u64 index, const Cluster& cluster) {
  const u64 l1_index = index / header().l2_entries();
  if (l1_index >= l1_.size()) return std::unexpected(Status::OutOfRange);
  TRY_ASSIGN(const u64 table, writable_table(l1_index));
  std::array<u8, 16> entry{};
  encode(header(), cluster, entry);
  return l2_.write(place(table, index), std::span<const u8>(entry).first(header().l2_entry_size()));
}

Io<> Mapping::write_l1() {
  std::array<u8, 512> sector{};
  for (const u64 number : dirty_sectors_) {
    for (u64 i = 0; i < 64; ++i) {
      const u64 index = number * 64 + i;
      store_be(sector.data() + i * 8, index < l1_.size() ? l1_[index] : 0);
    }
    TRY(file_.file.write(header().l1_table_offset + number * 512, std::span<const u8>(sector)));
  }
  dirty_sectors_.clear();
  return {};
}

}  // namespace vireo::block::qcow2
