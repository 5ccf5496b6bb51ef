#include "virtio/balloon/balloon.h"

#include <algorithm>

#include "base/bits.h"
#include "base/bytes.h"

namespace vireo::virtio {

using namespace balloon;

namespace {

/// Page numbers looked at in one buffer; Linux sends 256. What is beyond stays as it is.
constexpr u64 kMostPages = 4096;

struct State {
  u32 target = 0, actual = 0, poison = 0;
  static constexpr u16 kVersion = 1;
};
void fields(vm::Archive& ar, State& s) {
  auto& [target, actual, poison] = s;
  ar(target, actual, poison);
}

}  // namespace

u64 Balloon::features() const { return STATS_VQ | DEFLATE_ON_OOM | PAGE_POISON | PAGE_REPORTING; }

bool Balloon::negotiated(u64 features) {
  features_ = features;
  return true;
}

void Balloon::reset() {
  features_ = 0;
  actual_ = 0;
  poison_ = 0;
  const std::lock_guard lock(stats_mutex_);
  stats_ = {};
}

// ---- The host's side

void Balloon::set_target(u64 bytes) {
  target_ = static_cast<u32>(std::min<u64>(bytes / kPage, ~u32{0}));
  host().config_changed();
}

Balloon::Stats Balloon::stats() const {
  const std::lock_guard lock(stats_mutex_);
  return stats_;
}

// The driver's buffer stays in its ring, read but not taken, until new statistics are wanted: so nothing is out when
// the machine is saved.
bool Balloon::ask_for_stats() {
  if ((features_ & STATS_VQ) == 0) return false;
  Queue& queue = host().queue(statsq);
  const std::lock_guard lock(queue.mutex());
  Chain& chain = chains_[statsq];
  if (!queue.pop(chain)) return false;
  queue.enable_notifications();
  queue.push(chain, 0);
  return true;
}

// ---- Queues

void Balloon::notify(unsigned index) {
  if (index == statsq && (features_ & STATS_VQ) != 0) return take_stats();
  Queue& queue = host().queue(index);
  const bool more = queue.serve(chains_[index], [&](Chain& chain) {
    if (index == inflateq) inflate(chain.readable);
    if (index > deflateq) take_report(chain.writable);
    return 0u;
  });
  if (more) host().notify_later(index);
}

void Balloon::give_back(u64 offset, u64 length) {
  const u64 first = align_up(offset, kPageSize), end = align_down(offset + length, kPageSize);
  if (first < end) host().memory().give_back(first, end - first);
}

void Balloon::inflate(Pieces& pages) {
  auto& memory = host().memory();
  u64 offset = 0, length = 0;  // neighbours, in either direction, go together
  u32 page = 0;
  for (u64 seen = 0; seen < kMostPages && pages.take(&page, sizeof page); ++seen) {
    const u64 at = memory.offset_of(u64{page} * kPage, kPage);
    if (at == vm::GuestMemory::kNone) continue;
    if (length != 0 && at == offset + length) {
      length += kPage;
    } else if (length != 0 && at + kPage == offset) {
      offset = at;
      length += kPage;
    } else {
      give_back(offset, length);
      offset = at;
      length = kPage;
    }
  }
  give_back(offset, length);
}

void Balloon::take_report(const Pieces& pages) {
  if ((features_ & PAGE_REPORTING) == 0 || poison_ != 0) return;
  for (const auto& piece : pages.iovecs()) {
    give_back(static_cast<u64>(static_cast<u8*>(piece.iov_base) - host().memory().base()), piece.iov_len);
  }
}

void Balloon::take_stats() {
  Queue& queue = host().queue(statsq);
  const std::lock_guard lock(queue.mutex());
  Chain& chain = chains_[statsq];
  if (!queue.pop(chain)) return;
  Stats stats;
  std::array<u8, kStatSize> entry;
  for (unsigned seen = 0; seen < 4 * kStats && chain.readable.take(entry.data(), entry.size()); ++seen) {
    const u16 tag = vireo::load<u16>(&entry[0]);
    if (tag < kStats) stats[tag] = vireo::load<u64>(&entry[2]);
  }
  queue.undo(chain);
  const std::lock_guard stats_lock(stats_mutex_);
  stats_ = stats;
}

// ---- Configuration and state

void Balloon::read_config(u32 offset, std::span<u8> to) {
  std::array<u8, config::kSize> image{};
  store(&image[config::num_pages], target_.load());
  store(&image[config::actual], actual_.load());
  store(&image[config::poison_val], poison_.load());
  std::copy_n(image.begin() + offset, to.size(), to.begin());
}

void Balloon::write_config(u32 offset, std::span<const u8> from) {
  if (from.size() != sizeof(u32)) return;
  if (offset == config::actual && actual_.exchange(vireo::load<u32>(from.data())) != actual_) changed_();
  if (offset == config::poison_val) poison_ = vireo::load<u32>(from.data());
}

std::vector<u8> Balloon::save() const { return vm::save_fields("", State{target_, actual_, poison_}).bytes; }

Result<> Balloon::load(std::span<const u8> saved) {
  State state;
  TRY(vm::load_fields({.name = "balloon", .version = State::kVersion, .bytes = {saved.begin(), saved.end()}}, state));
  target_ = state.target;
  actual_ = state.actual;
  poison_ = state.poison;
  return {};
}

}  // namespace vireo::virtio
