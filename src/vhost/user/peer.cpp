#include "vhost/user/peer.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/bits.h"
#include "base/log.h"

namespace vireo::vhost::user {
namespace {

/// Where our own memory is for the other process, beyond whatever a guest has.
constexpr u64 kOwnAddress = u64{1} << 52;
constexpr u64 kScratch = kPageSize;
constexpr int kPatience = 10'000, kStep = 10, kFarewell = 1000;  ///< milliseconds
constexpr u64 kFeatures = VIRTIO_F_VERSION_1 | VHOST_USER_F_PROTOCOL_FEATURES;

u64 address_of(const u8* at) { return reinterpret_cast<u64>(at); }

}  // namespace

// ---- Setting up

Result<std::unique_ptr<Peer>> Peer::create(host::Loop& loop, Connection connection, unsigned queues) {
  std::unique_ptr<Peer> peer(new Peer(loop, std::move(connection)));
  auto& other = peer->connection_;
  peer->wanted_ = queues;
  TRY_ASSIGN(const u64 features, other.ask(Request::GET_FEATURES));
  if ((features & kFeatures) != kFeatures) {
    return fail(ErrorKind::Failed, "{} lacks what is needed of vhost-user (features {:#x})", other.who(), features);
  }
  TRY(other.tell(Request::SET_OWNER, std::span<const u8>()));
  TRY_ASSIGN(const u64 offered, other.ask(Request::GET_PROTOCOL_FEATURES));
  TRY(other.tell(Request::SET_PROTOCOL_FEATURES, offered & PROTOCOL_F_REPLY_ACK));
  if ((offered & PROTOCOL_F_REPLY_ACK) != 0) other.acknowledgements_agreed();
  TRY(other.tell(Request::SET_FEATURES, kFeatures));
  return peer;
}

Result<> Peer::start(const vm::GuestMemory& memory) {
  memory_ = &memory;
  TRY_ASSIGN(own_, host::Map::shared(align_up(wanted_ * SharedRing::kBytes + kScratch, kPageSize), "vireo-vhost"));
  struct {
    u32 count = 0, padding = 0;
    std::array<MemoryRegion, kMaxRegions> regions;
  } table;
  std::vector<int> files;
  const auto add = [&](const MemoryRegion& region, const host::Fd& file) {
    table.regions[table.count++] = region;
    files.push_back(file.get());
  };
  for (const auto& slot : memory.slots()) {
    if (table.count + 1 == kMaxRegions) return fail(ErrorKind::Failed, "guest memory is in too many pieces");
    add({.guest_address = slot.gpa,
         .size = slot.size,
         .user_address = address_of(memory.base() + slot.offset),
         .mmap_offset = slot.offset},
        memory.file());
  }
  add({.guest_address = kOwnAddress, .size = own_.size(), .user_address = address_of(own_.data()), .mmap_offset = 0},
      own_.file());
  const std::size_t size = 2 * sizeof(u32) + table.count * sizeof(MemoryRegion);
  TRY(connection_.tell(Request::SET_MEM_TABLE, std::span(reinterpret_cast<const u8*>(&table), size), files));
  for (u32 i = 0; i < wanted_; ++i) TRY(set_up_queue(i));
  end_ = loop_.watch(connection_.socket().get(), [this](u32) { give_up("it has ended the connection"); });
  return end_->set_events(EPOLLIN | EPOLLRDHUP);
}

Result<> Peer::set_up_queue(u32 index) {
  u8* at = own_.data() + index * SharedRing::kBytes;
  auto& queue = queues_.emplace_back(SharedRing(at), host::Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
                                     host::Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), nullptr, 0);
  if (!queue.kick || !queue.call) return fail_errno(errno, "cannot make an eventfd");
  TRY(connection_.tell(Request::SET_VRING_NUM, VringState{index, SharedRing::kSize}));
  TRY(connection_.tell(Request::SET_VRING_BASE, VringState{index, 0}));
  TRY(connection_.tell(Request::SET_VRING_ADDR, VringAddress{.index = index,
                                                             .descriptor = address_of(at + SharedRing::kDescriptors),
                                                             .used = address_of(at + SharedRing::kUsed),
                                                             .available = address_of(at + SharedRing::kAvailable)}));
  TRY(connection_.tell(Request::SET_VRING_CALL, u64{index}, std::array{queue.call.get()}));
  TRY(connection_.tell(Request::SET_VRING_KICK, u64{index}, std::array{queue.kick.get()}));
  TRY(connection_.tell(Request::SET_VRING_ENABLE, VringState{index, 1}));
  queue.watcher = loop_.watch(queue.call.get(), [this, index](u32) {
    u64 count = 0;
    [[maybe_unused]] const auto taken = ::read(queues_[index].call.get(), &count, sizeof count);
    if (port_ != nullptr) port_->done(index);
  });
  return queue.watcher->set_events(EPOLLIN);
}

Peer::~Peer() {
  ::shutdown(connection_.socket().get(), SHUT_WR);
  pollfd end{.fd = connection_.socket().get(), .events = POLLIN | POLLRDHUP, .revents = 0};
  if (!lost_) ::poll(&end, 1, kFarewell);
}

// ---- At work

std::optional<SharedRing::Piece> Peer::piece_of(const iovec& piece) const {
  const auto* at = static_cast<const u8*>(piece.iov_base);
  if (at >= own_.data() && at < own_.data() + own_.size()) {
    return SharedRing::Piece{kOwnAddress + static_cast<u64>(at - own_.data()), static_cast<u32>(piece.iov_len)};
  }
  const u64 offset = static_cast<u64>(at - memory_->base());
  for (const auto& slot : memory_->slots()) {
    if (offset - slot.offset < slot.size && piece.iov_len <= slot.size - (offset - slot.offset)) {
      return SharedRing::Piece{slot.gpa + (offset - slot.offset), static_cast<u32>(piece.iov_len)};
    }
  }
  return std::nullopt;
}

bool Peer::pieces_of(std::span<const iovec> from, std::vector<SharedRing::Piece>& to) const {
  for (const auto& part : from) {
    const auto piece = piece_of(part);
    if (!piece) return false;
    to.push_back(*piece);
  }
  return true;
}

std::optional<u16> Peer::submit(unsigned queue, std::span<const iovec> readable, std::span<const iovec> writable) {
  std::vector<SharedRing::Piece> in, out;
  if (lost_ || !pieces_of(readable, in) || !pieces_of(writable, out)) return std::nullopt;
  return queues_[queue].ring.add(in, out);
}

void Peer::kick(unsigned queue) {
  if (!queues_[queue].ring.must_kick()) return;
  const u64 one = 1;
  [[maybe_unused]] const auto written = ::write(queues_[queue].kick.get(), &one, sizeof one);
}

std::optional<Backend::Done> Peer::take_done(unsigned queue) {
  if (lost_) return std::nullopt;
  auto& ring = queues_[queue].ring;
  const auto done = ring.take();
  if (ring.broken()) give_up("it has broken the rules of its ring");
  return done;
}

// The caller looks for all that is done after this, so the doorbell may be taken from the loop; and the loop may have
// taken it, and be about to look, so no look is far off.
void Peer::wait(unsigned queue) {
  if (lost_) return;
  std::array<pollfd, 2> ready{{{.fd = queues_[queue].call.get(), .events = POLLIN, .revents = 0},
                               {.fd = connection_.socket().get(), .events = POLLIN | POLLRDHUP, .revents = 0}}};
  int count = 0;
  do {
    count = ::poll(ready.data(), ready.size(), kStep);
  } while (count < 0 && errno == EINTR);
  if (count == 0) {
    queues_[queue].waited += kStep;
    return queues_[queue].waited < kPatience ? void() : give_up("it does not answer");
  }
  queues_[queue].waited = 0;
  if (ready[1].revents != 0) return give_up("it has ended the connection");
  u64 rung = 0;
  [[maybe_unused]] const auto taken = ::read(queues_[queue].call.get(), &rung, sizeof rung);
}

void Peer::give_up(const char* why) {
  if (lost_.exchange(true)) return;
  log::warning("{} is given up: {}", connection_.who(), why);
  ::shutdown(connection_.socket().get(), SHUT_RDWR);
  loop_.post([this] {
    if (end_) static_cast<void>(end_->set_events(0));
    if (port_ != nullptr) port_->lost();
  });
}

std::span<u8> Peer::scratch() { return {own_.data() + wanted_ * SharedRing::kBytes, kScratch}; }

}  // namespace vireo::vhost::user
