#include "virtio/fs/fs.h"

#include <algorithm>
#include <cassert>

#include "base/bytes.h"

namespace vireo::virtio {

using namespace fs;

namespace {

/// Copies the beginning of a request; what is not there is zero.
InHeader header_of(const Pieces& pieces) {
  std::array<u8, sizeof(InHeader)> bytes{};
  std::size_t filled = 0;
  for (const auto& piece : pieces.iovecs()) {
    const std::size_t count = std::min(piece.iov_len, bytes.size() - filled);
    std::copy_n(static_cast<const u8*>(piece.iov_base), count, bytes.begin() + static_cast<std::ptrdiff_t>(filled));
    filled += count;
    if (filled == bytes.size()) break;
  }
  return vireo::load<InHeader>(bytes.data());
}

}  // namespace

void Fs::attach(Host& host) {
  Device::attach(host);
  assert(!tag_.empty() && tag_.size() <= kMaxTag);
  backend_.attach(*this);
}

// ---- Requests

void Fs::notify(unsigned index) {
  Queue& queue = host().queue(index);
  const std::lock_guard lock(queue.mutex());
  if (serve(queue)) host().notify_later(index);
}

// True: there may be more, and nobody will tell of it.
bool Fs::serve(Queue& queue) {
  Flight& flight = flights_[queue.index()];
  bool any = false, more = true;
  queue.disable_notifications();
  for (unsigned left = queue.size(); left != 0; --left) {
    if (!queue.pop(flight.popped)) {
      more = !queue.enable_notifications();
      if (!more) break;
      queue.disable_notifications();
      continue;
    }
    if (!begin(queue, flight)) {
      queue.undo(flight.popped);
      more = false;  // once something is done
      break;
    }
    any = true;
  }
  if (any) backend_.kick(queue.index());
  return more && queue.size() != 0;
}

// False: there is no space now.
bool Fs::begin(Queue& queue, Flight& flight) {
  Chain& chain = flight.popped;
  const auto header = header_of(chain.readable);
  const auto in = chain.readable.iovecs(), out = chain.writable.iovecs();
  // What never fits, and what is no message, gets no further.
  if (backend_.lost() || chain.readable.size() < sizeof header || in.size() + out.size() > vhost::Backend::kSize) {
    queue.push(chain, refuse(chain, header.unique));
    return true;
  }
  const auto ticket = backend_.submit(queue.index(), in, out);
  if (!ticket) return false;
  if (header.opcode == FUSE_INIT) mounted_ = true;
  auto& entry = flight.by_ticket[*ticket];
  std::swap(entry.chain, chain);
  entry.unique = header.unique;
  entry.opcode = header.opcode;
  entry.used = true;
  ++flight.count;
  return true;
}

u32 Fs::refuse(Chain& chain, u64 unique) {
  const OutHeader answer{.len = sizeof answer, .error = kEio, .unique = unique};
  return chain.writable.put(host().memory(), &answer, sizeof answer) ? u32{sizeof answer} : 0;
}

void Fs::finish_done(Queue& queue) {
  Flight& flight = flights_[queue.index()];
  while (const auto done = backend_.take_done(queue.index())) {
    auto& entry = flight.by_ticket[done->ticket];
    if (!entry.used) continue;
    note_written(host().memory(), entry.chain.writable.iovecs(), done->written);
    queue.push(entry.chain, done->written);
    if (entry.opcode == FUSE_DESTROY) mounted_ = false;
    entry.used = false;
    --flight.count;
  }
}

// It may have written into any of them.
void Fs::finish_lost(Queue& queue) {
  for (auto& entry : flights_[queue.index()].by_ticket) {
    if (!entry.used) continue;
    note_written(host().memory(), entry.chain.writable.iovecs(), entry.chain.writable.size());
    queue.push(entry.chain, refuse(entry.chain, entry.unique));
    entry.used = false;
  }
  flights_[queue.index()].count = 0;
}

void Fs::done(unsigned index) {
  Queue& queue = host().queue(index);
  const std::lock_guard lock(queue.mutex());
  finish_done(queue);
  if (serve(queue)) host().notify_later(index);
}

void Fs::lost() {
  mounted_ = false;
  for (unsigned i = 0; i < kQueues; ++i) {
    Queue& queue = host().queue(i);
    const std::lock_guard lock(queue.mutex());
    finish_lost(queue);
    if (serve(queue)) host().notify_later(i);
  }
}

void Fs::drain() {
  for (unsigned i = 0; i < kQueues; ++i) {
    Queue& queue = host().queue(i);
    const std::lock_guard lock(queue.mutex());
    while (true) {
      finish_done(queue);
      if (flights_[i].count == 0) break;
      if (backend_.lost()) {
        finish_lost(queue);
        break;
      }
      backend_.wait(i);
    }
  }
}

// ---- Life

void Fs::reset() {
  if (mounted_) unmount();
}

void Fs::unmount() {
  mounted_ = false;
  const auto scratch = backend_.scratch();
  const InHeader header{.len = sizeof header, .opcode = FUSE_DESTROY, .unique = 1};  // 0 would want no answer
  store(scratch.data(), header);
  const std::array in{iovec{.iov_base = scratch.data(), .iov_len = sizeof(InHeader)}};
  const std::array out{iovec{.iov_base = scratch.data() + sizeof(InHeader), .iov_len = sizeof(OutHeader)}};
  const std::lock_guard lock(host().queue(request).mutex());
  if (!backend_.submit(request, in, out)) return;
  backend_.kick(request);
  while (!backend_.lost() && !backend_.take_done(request)) backend_.wait(request);
}

Result<> Fs::can_save() const {
  if (!mounted_) return {};
  return fail(ErrorKind::WrongState,
              "the guest has the shared folder '{}' mounted, and virtiofsd cannot hand its state on; unmount it first",
              tag_);
}

void Fs::read_config(u32 offset, std::span<u8> to) {
  std::array<u8, config::kSize> image{};
  std::ranges::copy(tag_, image.begin());
  store(&image[config::num_request_queues], u32{kQueues - 1});
  std::copy_n(image.begin() + offset, to.size(), to.begin());
}

}  // namespace vireo::virtio
