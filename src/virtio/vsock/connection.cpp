#include "virtio/vsock/connection.h"

#include <algorithm>

namespace vireo::virtio::vsock {

Connection::Connection(Phase phase, std::unique_ptr<vireo::net::Stream> stream)
    : phase_(phase), stream_(std::move(stream)) {
  if (phase_ == Phase::Asking) tell_ = kRequest;
}

// ---- From the guest

void Connection::take_credit(const Header& header) {
  guest_buffer_ = header.buf_alloc;
  guest_forwarded_ = header.fwd_cnt;
  if (credit() != 0) asked_for_credit_ = false;
}

u32 Connection::credit() const {
  const u32 in_flight = sent_ - guest_forwarded_;
  return guest_buffer_ > in_flight ? guest_buffer_ - in_flight : 0;
}

bool Connection::accepted(u32 host_port) {
  if (phase_ != Phase::Asking) return false;
  phase_ = Phase::Open;
  stream_->confirm(host_port);
  return true;
}

void Connection::take(std::span<const u8> bytes) {
  received_ += static_cast<u32>(bytes.size());
  if (host_takes_ && at_ == to_host_.size() && stream_->may_write()) {
    const auto moved = stream_->write(bytes);
    forwarded_ += static_cast<u32>(moved.count);
    bytes = bytes.subspan(moved.count);
    if (moved.ended) host_ends(SHUTDOWN_RECEIVE);
  }
  if (host_takes_) {
    to_host_.insert(to_host_.end(), bytes.begin(), bytes.end());
  } else {
    forwarded_ += static_cast<u32>(bytes.size());
  }
}

// ---- At work

void Connection::host_ends(u32 flags) {
  if ((flags & SHUTDOWN_RECEIVE) != 0) {
    host_takes_ = false;
    forwarded_ += static_cast<u32>(to_host_.size() - at_);
    to_host_.clear();
    at_ = 0;
  }
  if ((host_ended_ | flags) == host_ended_) return;
  host_ended_ |= flags;
  tell_ |= kShutdown;
}

bool Connection::flush() {
  while (at_ != to_host_.size() && stream_->may_write()) {
    const auto moved = stream_->write(std::span<const u8>(to_host_).subspan(at_));
    at_ += moved.count;
    forwarded_ += static_cast<u32>(moved.count);
    if (moved.ended) host_ends(SHUTDOWN_RECEIVE);
  }
  if (at_ == to_host_.size()) {
    to_host_.clear();
    at_ = 0;
  } else if (at_ > kBuffer / 2) {
    to_host_.erase(to_host_.begin(), to_host_.begin() + static_cast<std::ptrdiff_t>(at_));
    at_ = 0;
  }
  return to_host_.empty();
}

Connection::Turn Connection::advance() {
  if (phase_ == Phase::Reaching) {
    if (stream_->state() == vireo::net::Stream::State::Refused) return Turn::Refused;
    if (stream_->state() == vireo::net::Stream::State::There) {
      phase_ = Phase::Open;
      tell_ |= kResponse;
    }
  }
  if (phase_ != Phase::Open) return guest_has_left() ? Turn::Done : Turn::GoesOn;
  const bool all_out = flush();
  if (all_out && (guest_ended_ & SHUTDOWN_SEND) != 0 && host_takes_ && !ended_writing_) {
    ended_writing_ = true;
    stream_->end_writing();
  }
  if (all_out && guest_has_left()) return Turn::Done;
  // A guest that may think the buffer more than half full hears that it is not.
  if (forwarded_ != told_ && received_ - told_ > kBuffer / 2) tell_ |= kCredit;
  return Turn::GoesOn;
}

bool Connection::finish() { return flush(); }

bool Connection::may_read() const {
  return phase_ == Phase::Open && (guest_ended_ & SHUTDOWN_RECEIVE) == 0 && (host_ended_ & SHUTDOWN_SEND) == 0 &&
         stream_->may_read() && (credit() != 0 || !asked_for_credit_);
}

bool Connection::next(Header& header, std::span<u8> data) {
  header.len = 0;
  header.flags = 0;
  const auto told = [&](u8 what, u16 op) {
    if ((tell_ & what) == 0) return false;
    tell_ &= static_cast<u8>(~what);
    header.op = op;
    return true;
  };
  bool found = told(kRequest, OP_REQUEST) || told(kResponse, OP_RESPONSE);
  if (!found && !data.empty() && may_read()) {
    if (credit() == 0) {
      asked_for_credit_ = true;
      tell_ |= kCreditRequest;
    } else {
      const auto moved = stream_->read(data.first(std::min<std::size_t>(data.size(), credit())));
      header.len = static_cast<u32>(moved.count);
      sent_ += header.len;
      if (moved.ended) host_ends(stream_->gone() ? SHUTDOWN_BOTH : SHUTDOWN_SEND);
      header.op = OP_RW;
      found = header.len != 0;
    }
  }
  if (!found && told(kShutdown, OP_SHUTDOWN)) {
    header.flags = host_ended_;
    found = true;
  }
  found = found || told(kCreditRequest, OP_CREDIT_REQUEST) || told(kCredit, OP_CREDIT_UPDATE);
  if (!found) return false;
  tell_ &= static_cast<u8>(~kCredit);  // every packet tells of it
  told_ = forwarded_;
  header.buf_alloc = kBuffer;
  header.fwd_cnt = forwarded_;
  return true;
}

void Connection::wait(bool guest_has_buffers) {
  const bool wants_input = phase_ == Phase::Open && (guest_ended_ & SHUTDOWN_RECEIVE) == 0 &&
                           (host_ended_ & SHUTDOWN_SEND) == 0 && guest_has_buffers && credit() != 0;
  stream_->wait_for(wants_input, !to_host_.empty());
}

}  // namespace vireo::virtio::vsock
