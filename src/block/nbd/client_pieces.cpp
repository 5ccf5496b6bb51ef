// Pieces on their way: what is sent next, and what becomes of what is answered.
#include <algorithm>

#include "base/bytes.h"
#include "base/log.h"
#include "block/nbd/client.h"
#include "host/loop.h"

namespace vireo::block::nbd {
namespace {

constexpr unsigned kReceives = 32;  ///< of a turn

Status status_of(u32 error) {
  switch (error) {
    case 0:
      return Status::Ok;
    case NBD_EPERM:
      return Status::ReadOnly;
    case NBD_ENOSPC:
      return Status::NoSpace;
    case NBD_ENOTSUP:
      return Status::Unsupported;
    default:
      return Status::IoError;
  }
}

}  // namespace

std::unique_ptr<Client::Piece> Client::next_piece() {
  if (replaying_) {
    // One at a time: they may overlap.
    if (free_slots_.size() < kSlots) return nullptr;
    if (replayed_ < unflushed_.size()) {
      const auto& kept = unflushed_[replayed_];
      auto piece = std::make_unique<Piece>();
      piece->command = kept.command;
      piece->flags = kept.flags;
      piece->offset = kept.offset;
      piece->length = kept.length;
      if (kept.command == NBD_CMD_WRITE) {
        piece->slice.push_back({const_cast<u8*>(kept.bytes.data()), kept.bytes.size()});
        piece->memory = piece->slice;
      }
      return piece;
    }
    replaying_ = false;
  }
  if (waiting_.empty()) return nullptr;
  if (unflushed_.too_much() && own_flush_ && waiting_.front()->command == NBD_CMD_WRITE) return nullptr;
  auto piece = std::move(waiting_.front());
  waiting_.pop_front();
  return piece;
}

void Client::flush_on_own_account() {
  const auto job = std::make_shared<Job>();
  add_piece(job, NBD_CMD_FLUSH, 0, 0, 0, 0);
  waiting_.push_front(std::move(waiting_.back()));
  waiting_.pop_back();
  own_flush_ = true;
}

void Client::begin(std::unique_ptr<Piece> piece) {
  if (free_slots_.size() == kSlots) progress_ns_ = host::Loop::now_ns();
  if (piece->command == NBD_CMD_FLUSH) piece->mark = unflushed_.mark();
  const u32 number = free_slots_.back();
  free_slots_.pop_back();
  auto& slot = slots_[number];
  store_be<u32>(head_.data(), kRequestMagic);
  store_be<u16>(head_.data() + 4, piece->flags);
  store_be<u16>(head_.data() + 6, piece->command);
  store_be<u64>(head_.data() + 8, u64{slot.generation} << 32 | number);
  store_be<u64>(head_.data() + 16, piece->offset);
  store_be<u32>(head_.data() + 24, piece->length);
  head_sent_ = 0;
  body_ = piece->command == NBD_CMD_WRITE ? host::Scatter(piece->memory) : host::Scatter();
  slot.piece = std::move(piece);
}

void Client::fill() {
  if (unflushed_.plenty() && !own_flush_) flush_on_own_account();
}

/// Sends as much as the connection takes. False: it is over.
bool Client::send() {
  for (;;) {
    if (head_sent_ == kRequestSize && body_.done()) {
      if (free_slots_.empty()) break;
      auto piece = next_piece();
      if (!piece) break;
      begin(std::move(piece));
    }
    std::vector<iovec> pieces;
    if (head_sent_ < kRequestSize) pieces.push_back({head_.data() + head_sent_, kRequestSize - head_sent_});
    if (!body_.done()) {
      const auto window = body_.window();
      pieces.insert(pieces.end(), window.begin(),
                    window.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(window.size(), 63)));
    }
    const auto moved = link_->send(pieces);
    if (moved.ended) return false;
    if (moved.count == 0) return true;
    const auto of_head = std::min<std::size_t>(moved.count, kRequestSize - head_sent_);
    head_sent_ += of_head;
    body_.advance(moved.count - of_head);
  }
  return !link_->has_unsent() || !link_->send({}).ended;
}

bool Client::receive() {
  for (unsigned i = 0; i < kReceives; ++i) {
    const auto moved = link_->receive(buffer_);
    if (moved.count > 0 && !replies_->feed(std::span(buffer_).first(moved.count))) {
      log::warning("{}: the server breaks the protocol", target_.uri.text);
      return false;
    }
    if (moved.ended || leaving_) return false;
    more_ = moved.count > 0;
    if (!more_) return true;
  }
  return true;
}

Awaited* Client::find(u64 cookie) {
  const u64 number = cookie & 0xFFFFFFFF;
  if (number >= kSlots) return nullptr;
  auto& slot = slots_[number];
  if (!slot.piece || slot.generation != cookie >> 32) return nullptr;
  // An answer to what is not sent yet is none.
  const bool sending = head_sent_ < kRequestSize || !body_.done();
  if (sending && load_be<u64>(head_.data() + 8) == cookie) return nullptr;
  return slot.piece.get();
}

void Client::replied(u64 cookie) {
  const u32 number = static_cast<u32>(cookie);
  auto& slot = slots_[number];
  auto piece = std::move(slot.piece);
  ++slot.generation;
  free_slots_.push_back(number);
  progress_ns_ = host::Loop::now_ns();
  Status status = status_of(piece->error);
  if (piece->error == NBD_ESHUTDOWN) leaving_ = true;
  if (piece->error == NBD_ESHUTDOWN && ++piece->lost < kMaxLost) {
    piece->received = piece->error = 0;
    if (piece->job) waiting_.push_front(std::move(piece));
    return;
  }
  const bool changes =
      piece->command == NBD_CMD_WRITE || piece->command == NBD_CMD_TRIM || piece->command == NBD_CMD_WRITE_ZEROES;
  if (!piece->job) {
    if (status != Status::Ok) flush_is_a_lie_ = true;
    ++replayed_;
    return;
  }
  waiting_since_ns_ = pause_ns_ = 0;
  if (piece->command == NBD_CMD_FLUSH) {
    if (status == Status::Ok) {
      unflushed_.flushed(piece->mark);
    } else {
      unflushed_.forget();
      if (piece->job->request == nullptr) flush_is_a_lie_ = true;
    }
    if (piece->job->request == nullptr) {
      own_flush_ = false;
    } else if (flush_is_a_lie_) {
      flush_is_a_lie_ = false;
      status = Status::IoError;
    }
  } else if (changes && status == Status::Ok && about_.has(NBD_FLAG_SEND_FLUSH)) {
    unflushed_.keep(piece->command, piece->flags, piece->offset, piece->length, piece->memory);
  }
  end_piece(*piece, status);
}

}  // namespace vireo::block::nbd
