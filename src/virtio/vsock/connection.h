// One connection of the socket device: credit in both directions, what waits for the host, how much of it has ended,
// and what the guest must be told.
//
//   guest --RW--> take() --> to_host_ (256 KiB) --> stream          stream --> read() --RW--> guest
//
// Credit (virtio 1.2, 5.10.6.3): each side says how large its buffer is and how many bytes have left it (fwd_cnt); the
// other sends no more than fits. All counters are free running and wrap. Ours is the space in to_host_; the guest's
// bounds what is read from the stream.
//
// What is to be told is a bit each, not a list: a guest that takes no messages uses no memory.
#pragma once

#include <memory>
#include <vector>

#include "net/api/streams.h"
#include "virtio/vsock/spec.h"

namespace vireo::virtio::vsock {

struct Key {
  u32 guest_port = 0, host_port = 0;
  auto operator<=>(const Key&) const = default;
};

class Connection {
 public:
  static constexpr u32 kBuffer = 256 * 1024;

  /// Reaching: the guest has asked, and the host has not answered. Asking: the other way round.
  enum class Phase : u8 { Reaching, Asking, Open };
  Connection(Phase phase, std::unique_ptr<vireo::net::Stream> stream);

  Phase phase() const { return phase_; }

  // ---- From the guest

  /// Every packet tells of the guest's buffer.
  void take_credit(const Header& header);
  /// OP_RESPONSE. False: nobody had asked.
  bool accepted(u32 host_port);
  /// There is credit for so many bytes.
  bool may_take(u64 length) const { return phase_ == Phase::Open && length <= kBuffer - (received_ - forwarded_); }
  void take(std::span<const u8> bytes);
  void shut_down(u32 flags) { guest_ended_ |= flags & SHUTDOWN_BOTH; }
  void want_credit() { tell_ |= kCredit; }
  bool guest_has_left() const { return guest_ended_ == SHUTDOWN_BOTH; }

  // ---- At work

  /// Moves on what can. Refused: there is nobody. Done: the guest has ended it, and all it sent is with the host.
  enum class Turn : u8 { GoesOn, Refused, Done };
  Turn advance();
  /// Writes what is left; true when that is done or in vain.
  bool finish();
  /// There is something for the guest: a message, or bytes that it has credit for.
  bool has_something() const { return tell_ != 0 || may_read(); }
  /// The next packet for the guest, of at most `data.size()` bytes, whose first header.len are filled. False: there is
  /// none after all. What is the same in all packets of the connection is the caller's.
  bool next(Header& header, std::span<u8> data);
  /// There are buffers of the guest or not: what to be woken for.
  void wait(bool guest_has_buffers);

 private:
  enum : u8 { kRequest = 1, kResponse = 2, kCredit = 4, kCreditRequest = 8, kShutdown = 16 };

  bool may_read() const;
  u32 credit() const;
  bool flush();
  void host_ends(u32 flags);

  Phase phase_;
  std::unique_ptr<vireo::net::Stream> stream_;
  u8 tell_ = 0;

  // To the host
  std::vector<u8> to_host_;
  std::size_t at_ = 0;                              ///< what is before is with the host
  u32 received_ = 0, forwarded_ = 0, told_ = 0;     ///< fwd_cnt is forwarded_, and told_ as the guest knows it
  bool ended_writing_ = false, host_takes_ = true;  ///< the host reads

  // To the guest
  u32 sent_ = 0, guest_buffer_ = 0, guest_forwarded_ = 0;
  bool asked_for_credit_ = false;

  u32 guest_ended_ = 0, host_ended_ = 0;  ///< SHUTDOWN_ flags
};

}  // namespace vireo::virtio::vsock
