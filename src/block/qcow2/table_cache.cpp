#include "block/qcow2/table_cache.h"

#include <algorithm>
#include <cstring>

namespace vireo::block::qcow2 {
namespace {

constexpr u64 kMaxWrite = kMiB;  ///< of neighbouring slices at once

}  // namespace

bool TableCache::peek(u64 offset, std::span<u8> to) const {
  const std::lock_guard lock(mutex_);
  const auto found = slices_.find(offset & ~(slice_ - 1));
  if (found == slices_.end()) return false;
  found->second.used = true;
  std::memcpy(to.data(), found->second.bytes.get() + (offset & (slice_ - 1)), to.size());
  return true;
}

void TableCache::make_room() {
  // Twice around: the first time takes marks away.
  for (u64 steps = 2 * slices_.bucket_count(); slices_.size() >= max_ && steps > 0; --steps) {
    hand_ = (hand_ + 1) % slices_.bucket_count();
    for (auto it = slices_.begin(hand_); it != slices_.end(hand_); ++it) {
      if (it->second.dirty || std::exchange(it->second.used, false)) continue;
      slices_.erase(it->first);
      break;
    }
  }
}

Io<TableCache::Slice*> TableCache::load(u64 offset) {
  const u64 start = offset & ~(slice_ - 1);
  {
    const std::lock_guard lock(mutex_);
    const auto found = slices_.find(start);
    if (found != slices_.end()) {
      found->second.used = true;
      return &found->second;
    }
  }
  Slice slice{std::make_unique<u8[]>(slice_)};
  TRY(file_.read(start, std::span(slice.bytes.get(), slice_)));
  const std::lock_guard lock(mutex_);
  make_room();
  return &slices_.emplace(start, std::move(slice)).first->second;
}

Io<> TableCache::read(u64 offset, std::span<u8> to) {
  TRY_ASSIGN(const Slice* slice, load(offset));
  std::memcpy(to.data(), slice->bytes.get() + (offset & (slice_ - 1)), to.size());
  return {};
}

Io<> TableCache::write(u64 offset, std::span<const u8> from) {
  TRY_ASSIGN(Slice * slice, load(offset));
  const std::lock_guard lock(mutex_);
  std::memcpy(slice->bytes.get() + (offset & (slice_ - 1)), from.data(), from.size());
  if (!std::exchange(slice->dirty, true)) ++dirty_;
  return {};
}

Io<> TableCache::write_back() {
  std::vector<std::pair<u64, Slice*>> dirty;
  for (auto& [offset, slice] : slices_) {  // nobody else changes the map
    if (slice.dirty) dirty.emplace_back(offset, &slice);
  }
  std::ranges::sort(dirty, {}, &std::pair<u64, Slice*>::first);
  for (std::size_t i = 0; i < dirty.size();) {
    std::vector<iovec> pieces;
    const std::size_t first = i;
    do {
      pieces.push_back({dirty[i].second->bytes.get(), slice_});
      ++i;
    } while (i < dirty.size() && dirty[i].first == dirty[i - 1].first + slice_ && pieces.size() * slice_ < kMaxWrite);
    TRY(file_.write(dirty[first].first, pieces));
    for (std::size_t written = first; written < i; ++written) dirty[written].second->dirty = false;
    dirty_ -= i - first;
  }
  return {};
}

void TableCache::forget(u64 offset, u64 length) {
  const std::lock_guard lock(mutex_);
  const u64 end = offset + length;
  for (u64 at = offset & ~(slice_ - 1); at < end; at += slice_) {
    const auto found = slices_.find(at);
    if (found == slices_.end()) continue;
    if (found->second.dirty) --dirty_;
    slices_.erase(found);
  }
}

void TableCache::forget_all() {
  const std::lock_guard lock(mutex_);
  slices_.clear();
  dirty_ = 0;
}

}  // namespace vireo::block::qcow2
