#include "block/qcow2/refcounts.h"

#include <algorithm>

#include "base/bytes.h"

namespace vireo::block::qcow2 {
namespace {

constexpr u64 kMaxSlice = 4096;
constexpr int kMaxBlocksOnTheWay = 4;

}  // namespace

Refcounts::Refcounts(HeaderFile& header, u64 cache_bytes)
    : file_(header), blocks_(header.file, std::min(header.header.cluster_size(), kMaxSlice), cache_bytes) {}

Io<> Refcounts::load() {
  const u64 bytes = u64{header().refcount_table_clusters} << header().cluster_bits;
  std::vector<u8> raw(bytes);
  TRY(file_.file.read(header().refcount_table_offset, raw));
  table_.resize(bytes / 8);
  for (std::size_t i = 0; i < table_.size(); ++i) table_[i] = load_be<u64>(raw.data() + i * 8) & kRefcountOffsetMask;
  if (file_.file.grows()) {
    end_ = std::max(end_, header().clusters_for(file_.file.size()));
    return {};
  }
  return find_end();
}

/// Of what cannot grow, and so is larger than what is in use.
Io<> Refcounts::find_end() {
  for (u64 index = table_.size(); index-- > 0;) {
    if (table_[index] == 0) continue;
    const u64 entries = header().refcount_block_entries();
    for (u64 cluster = (index + 1) * entries; cluster-- > index * entries;) {
      TRY_ASSIGN(const bool free, is_free(cluster));
      if (free) continue;
      end_ = cluster + 1;
      return {};
    }
  }
  return {};
}

Io<> Refcounts::reload() {
  blocks_.forget_all();
  dirty_entries_.clear();
  released_.clear();
  hint_ = bytes_at_ = 0;
  return load();
}

Io<u64> Refcounts::get(u64 cluster) {
  if (!has_block(cluster)) return 0;
  const u64 block = table_[index_of(cluster)];
  if ((block & (header().cluster_size() - 1)) != 0) return std::unexpected(Status::IoError);
  const u64 entry = cluster % header().refcount_block_entries();
  const u64 bits = u64{1} << header().refcount_order;
  u8 bytes[8] = {};
  if (bits < 8) {
    TRY(blocks_.read(block + entry * bits / 8, std::span(bytes, 1)));
    return bytes[0] >> (entry * bits % 8) & header().max_refcount();
  }
  TRY(blocks_.read(block + entry * bits / 8, std::span(bytes, bits / 8)));
  return load_be<u64>(bytes) >> (64 - bits);
}

Io<> Refcounts::put(u64 cluster, u64 count) {
  const u64 block = table_[index_of(cluster)];
  const u64 entry = cluster % header().refcount_block_entries();
  const u64 bits = u64{1} << header().refcount_order;
  u8 bytes[8] = {};
  if (bits < 8) {
    const auto shift = entry * bits % 8;
    TRY(blocks_.read(block + entry * bits / 8, std::span(bytes, 1)));
    bytes[0] = static_cast<u8>((bytes[0] & ~(header().max_refcount() << shift)) | count << shift);
    return blocks_.write(block + entry * bits / 8, std::span(bytes, 1));
  }
  store_be(bytes, count << (64 - bits));
  return blocks_.write(block + entry * bits / 8, std::span(bytes, bits / 8));
}

Io<> Refcounts::add(u64 cluster, i64 delta) {
  TRY_ASSIGN(const u64 count, get(cluster));
  if (!has_block(cluster) || (delta < 0 && count < static_cast<u64>(-delta)) ||
      (delta > 0 && static_cast<u64>(delta) > header().max_refcount() - count)) {
    return std::unexpected(Status::IoError);
  }
  const u64 now = count + static_cast<u64>(delta);
  if (now == 0) {
    hint_ = std::min(hint_, cluster);
    if (bytes_at_ >> header().cluster_bits == cluster) bytes_at_ = 0;
  }
  return put(cluster, now);
}

Io<bool> Refcounts::is_free(u64 cluster) {
  TRY_ASSIGN(const u64 count, get(cluster));
  return count == 0;
}

Io<> Refcounts::make_block(u64 index, u64 at) {
  if (index >= table_.size()) return std::unexpected(Status::IoError);
  blocks_.forget(at << header().cluster_bits, header().cluster_size());
  TRY(file_.clear(at << header().cluster_bits, header().cluster_size()));
  table_[index] = at << header().cluster_bits;
  dirty_entries_.push_back(index);
  return {};
}

Io<u64> Refcounts::find(u64 count) {
  u64 start = hint_;
  for (u64 at = hint_; at < start + count; ++at) {
    TRY_ASSIGN(const bool free, is_free(at));
    if (!free) start = at + 1;
  }
  if (count == 1) hint_ = start;
  if (start + count >= kMaxHostOffset >> header().cluster_bits) return std::unexpected(Status::NoSpace);
  return start;
}

Io<u64> Refcounts::find_at_end(u64 count) {
  const u64 hint = std::exchange(hint_, std::max(hint_, end_));
  const auto found = find(count);
  hint_ = hint;
  return found;
}

void Refcounts::took(u64 cluster, u64 count) { end_ = std::max(end_, cluster + count); }

Io<> Refcounts::take_at_end(u64 cluster, u64 count) {
  // The blocks that are missing go behind, and may make others necessary.
  std::vector<u64> missing;
  for (u64 index = index_of(cluster); index <= index_of(cluster + count + missing.size() - 1); ++index) {
    if (index >= table_.size() || table_[index] == 0) missing.push_back(index);
  }
  for (std::size_t i = 0; i < missing.size(); ++i) {
    if (missing[i] >= table_.size()) return std::unexpected(Status::NoSpace);
    TRY(make_block(missing[i], cluster + count + i));
  }
  for (u64 i = 0; i < count + missing.size(); ++i) TRY(put(cluster + i, 1));
  took(cluster, count + missing.size());
  return {};
}

Io<> Refcounts::grow_table(u64 index) {
  const u64 per_cluster = header().cluster_size() / 8;
  TRY_ASSIGN(const u64 start, find_at_end(1));
  u64 clusters = header().refcount_table_clusters;
  do {  // large enough for itself and the blocks that it needs, and then some
    clusters += std::max<u64>(1, clusters / 2);
  } while (clusters * per_cluster <= std::max(index, index_of(start + 4 * clusters)));
  if (clusters << header().cluster_bits > kMaxRefcountTableBytes) return std::unexpected(Status::NoSpace);
  const u64 old_offset = header().refcount_table_offset, old_clusters = header().refcount_table_clusters;
  auto old_table = table_;
  auto old_dirty = dirty_entries_;
  table_.resize(clusters * per_cluster);
  if (auto written = write_grown_table(clusters); !written) {
    table_ = std::move(old_table);
    dirty_entries_ = std::move(old_dirty);
    return written;
  }
  for (u64 i = 0; i < old_clusters; ++i) TRY(add((old_offset >> header().cluster_bits) + i, -1));
  return {};
}

Io<> Refcounts::write_grown_table(u64 clusters) {
  TRY_ASSIGN(const u64 place, find_at_end(3 * clusters));
  TRY(take_at_end(place, clusters));
  std::vector<u8> raw(table_.size() * 8);
  for (std::size_t i = 0; i < table_.size(); ++i) store_be(raw.data() + i * 8, table_[i]);
  TRY(write_blocks());
  TRY(file_.file.write(place << header().cluster_bits, std::span<const u8>(raw)));
  dirty_entries_.clear();
  file_.header.refcount_table_offset = place << header().cluster_bits;
  file_.header.refcount_table_clusters = static_cast<u32>(clusters);
  return file_.switch_over();
}

Io<u64> Refcounts::allocate(u64 count) {
  TRY_ASSIGN(u64 start, find(count));
  bool whole = true;
  for (u64 index = index_of(start); index <= index_of(start + count - 1); ++index) {
    whole = whole && index < table_.size() && table_[index] != 0;
  }
  if (whole) {
    for (u64 i = 0; i < count; ++i) TRY(put(start + i, 1));
    took(start, count);
    return start << header().cluster_bits;
  }
  // Room for the blocks, too: never more than one for each cluster and one.
  TRY_ASSIGN(start, find_at_end(2 * count + 2));
  if (index_of(start + 2 * count + 2) >= table_.size()) {
    TRY(grow_table(index_of(start + 2 * count + 2)));
    TRY_ASSIGN(start, find_at_end(2 * count + 2));
  }
  TRY(take_at_end(start, count));
  return start << header().cluster_bits;
}

Io<HostRun> Refcounts::allocate_up_to(u64 count) {
  TRY_ASSIGN(u64 start, find(1));
  if (index_of(start) >= table_.size()) {
    TRY(grow_table(index_of(start)));
    TRY_ASSIGN(start, find(1));
  }
  const u64 virgin = end_;
  // The block of a region goes into the region's first free cluster. Twice only where that is the region's last one,
  // and more often only in an image whose tables contradict each other.
  for (int blocks = 0; !has_block(start); ++blocks) {
    if (blocks == kMaxBlocksOnTheWay) return std::unexpected(Status::IoError);
    TRY(make_block(index_of(start), start));
    TRY(put(start, 1));
    took(start, 1);
    TRY_ASSIGN(start, find(1));
  }
  u64 got = 0;
  while (got < count && has_block(start + got)) {
    TRY_ASSIGN(const bool free, is_free(start + got));
    if (!free || (start < virgin && start + got >= virgin)) break;
    TRY(put(start + got, 1));
    ++got;
  }
  if (got == 0) return std::unexpected(Status::IoError);  // writing the tables has changed them
  hint_ = start + got;
  took(start, got);
  return HostRun{start << header().cluster_bits, got, start >= virgin && file_.file.grows()};
}

Io<u64> Refcounts::allocate_bytes(u64 bytes) {
  const u64 size = header().cluster_size();
  if (bytes_at_ != 0) {
    const u64 cluster = bytes_at_ >> header().cluster_bits;
    const u64 room = size - (bytes_at_ & (size - 1));
    TRY_ASSIGN(const u64 count, get(cluster));
    if (room >= bytes && count < header().max_refcount()) {
      TRY(add(cluster, 1));
      const u64 at = bytes_at_;
      bytes_at_ = room == bytes ? 0 : at + bytes;
      return at;
    }
  }
  TRY_ASSIGN(const u64 at, allocate(1));
  bytes_at_ = bytes == size ? 0 : at + bytes;
  return at;
}

void Refcounts::release(u64 cluster, bool discard) { released_.push_back({cluster, epoch_, discard}); }

Io<> Refcounts::settle(u64 epoch) {
  while (!released_.empty() && released_.front().epoch < epoch) {
    const auto [cluster, tag, discard] = released_.front();
    TRY(add(cluster, -1));
    released_.pop_front();
    TRY_ASSIGN(const bool free, is_free(cluster));
    // Only space is at stake.
    if (free && discard) (void)file_.file.discard(cluster << header().cluster_bits, header().cluster_size());
  }
  return {};
}

Io<> Refcounts::write_table() {
  std::ranges::sort(dirty_entries_);
  std::array<u8, 512> sector;
  for (std::size_t i = 0; i < dirty_entries_.size();) {
    const u64 first = dirty_entries_[i] & ~u64{63};
    for (u64 entry = 0; entry < 64; ++entry) store_be(sector.data() + entry * 8, table_[first + entry]);
    TRY(file_.file.write(header().refcount_table_offset + first * 8, std::span<const u8>(sector)));
    while (i < dirty_entries_.size() && dirty_entries_[i] < first + 64) ++i;
  }
  dirty_entries_.clear();
  return {};
}

}  // namespace vireo::block::qcow2
