#include "block/nbd/client.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/log.h"
#include "host/loop.h"
#include "host/thread.h"

namespace vireo::block::nbd {
namespace {

constexpr u64 kMillisecond = 1'000'000, kSecond = 1000 * kMillisecond;
constexpr u64 kSilence = 60 * kSecond;     ///< without an answer to anything
constexpr u64 kConnecting = 10 * kSecond;  ///< of one attempt
constexpr u64 kShortestPause = 50 * kMillisecond, kLongestPause = kSecond;
constexpr u64 kMaxExtent = kGiB;  ///< bytes that are trimmed or zeroed at once
constexpr std::size_t kBuffer = 256 * kKiB;

std::vector<iovec> slice_of(std::span<const iovec> memory, u64 at, u64 length) {
  std::vector<iovec> slice;
  for (const auto& piece : memory) {
    if (length == 0) break;
    if (at >= piece.iov_len) {
      at -= piece.iov_len;
      continue;
    }
    const u64 here = std::min<u64>(length, piece.iov_len - at);
    slice.push_back({static_cast<u8*>(piece.iov_base) + at, here});
    length -= here;
    at = 0;
  }
  return slice;
}

}  // namespace

Client::Client(Target target, std::unique_ptr<Link> link, host::Wake wake, u64 patience_ns)
    : target_(std::move(target)),
      about_(link->about()),
      wake_(std::move(wake)),
      patience_(patience_ns),
      link_(std::move(link)),
      replies_(std::make_unique<Replies>(*this, about_.structured)),
      buffer_(kBuffer) {
  for (u32 slot = kSlots; slot > 0; --slot) free_slots_.push_back(slot - 1);
}

Client::~Client() {
  drain();
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.ring();
  if (thread_.joinable()) thread_.join();
  if (!link_ || head_sent_ < kRequestSize) return;
  // A server that is told does not have to wonder.
  std::array<u8, kRequestSize> goodbye{};
  store_be<u32>(goodbye.data(), kRequestMagic);
  store_be<u16>(goodbye.data() + 6, NBD_CMD_DISC);
  const iovec piece{goodbye.data(), goodbye.size()};
  link_->send({&piece, 1});
}

// Callers

void Client::enqueue(Request& request) {
  in_flight_.begin();
  {
    const std::lock_guard lock(mutex_);
    incoming_.push_back(&request);
  }
  wake_.ring();
}

void Client::submit(Request& request) {
  enqueue(request);
  const std::lock_guard lock(mutex_);
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
}

Status Client::perform(const Request& request) {
  struct Waiter : Request {
    Client* client = nullptr;
    bool ended = false;  ///< guarded by the client's mutex
    Status status = Status::Ok;
  };
  Waiter waiter{request};
  waiter.client = this;
  waiter.done = [](Request& ended, Status status) {
    auto& whose = static_cast<Waiter&>(ended);
    Client& client = *whose.client;
    const std::lock_guard lock(client.mutex_);
    whose.status = status;
    whose.ended = true;
    client.changed_.notify_all();
  };
  enqueue(waiter);
  std::unique_lock lock(mutex_);
  while (!waiter.ended) {
    if (driven_ || thread_.joinable()) {
      changed_.wait(lock);
      continue;
    }
    driven_ = true;
    while (!waiter.ended) {
      lock.unlock();
      turn();
      lock.lock();
    }
    driven_ = false;
    changed_.notify_all();
  }
  return waiter.status;
}

// The driver

void Client::run() {
  host::name_thread("nbd");
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !driven_; });
  }
  while (!stopping()) turn();
}

bool Client::stopping() {
  const std::lock_guard lock(mutex_);
  return stop_;
}

void Client::turn() {
  ended_some_ = false;
  take_requests();
  const u64 now = host::Loop::now_ns();
  const bool under_way = free_slots_.size() < kSlots;
  if (link_ && under_way && now - progress_ns_ > kSilence) lose();
  if (!link_ && !waiting_.empty() && !connect()) {
    if (gave_up_ || host::Loop::now_ns() - waiting_since_ns_ >= patience_) give_up();
  }
  if (link_) {
    fill();
    if (!send()) lose();
  }
  const bool sending = link_ && (head_sent_ < kRequestSize || !body_.done() || link_->has_unsent());
  const host::Fd none;
  const auto ready = host::sleep_on(link_ ? link_->socket() : none, {.read = true, .write = sending}, wake_,
                                    more_ || ended_some_ ? 0 : time_left());
  if (link_ && (ready.read || more_) && !receive()) lose();
}

/// Milliseconds until something is due; -1: nothing is.
int Client::time_left() const {
  const u64 now = host::Loop::now_ns();
  u64 due = ~u64{0};
  if (link_ && free_slots_.size() < kSlots) due = progress_ns_ + kSilence;
  if (!link_ && !waiting_.empty()) due = std::min(next_attempt_ns_, waiting_since_ns_ + patience_);
  if (due == ~u64{0}) return -1;
  return due <= now ? 0 : static_cast<int>((due - now) / kMillisecond + 1);
}

void Client::take_requests() {
  std::deque<Request*> taken;
  {
    const std::lock_guard lock(mutex_);
    taken.swap(incoming_);
  }
  for (Request* request : taken) cut(*request);
  if (!link_ && !waiting_.empty() && waiting_since_ns_ == 0) waiting_since_ns_ = host::Loop::now_ns();
}

void Client::add_piece(const std::shared_ptr<Job>& job, Command command, u16 flags, u64 offset, u64 length, u64 at) {
  auto piece = std::make_unique<Piece>();
  piece->command = command;
  piece->offset = offset;
  piece->length = static_cast<u32>(length);
  piece->flags = flags;
  piece->job = job;
  if (command == NBD_CMD_READ || command == NBD_CMD_WRITE) {
    piece->slice = slice_of(job->request->memory, at, length);
    piece->memory = piece->slice;
  }
  ++job->pieces;
  waiting_.push_back(std::move(piece));
}

void Client::cut(Request& request) {
  const auto job = std::make_shared<Job>(Job{.request = &request});
  Command command = NBD_CMD_READ;
  u16 flags = 0;
  u64 most = about_.maximum_payload;
  switch (request.operation) {
    case Operation::Read:
      break;
    case Operation::Write:
      command = NBD_CMD_WRITE;
      break;
    case Operation::Flush:
      command = NBD_CMD_FLUSH;
      break;
    case Operation::Discard:
      command = NBD_CMD_TRIM;
      most = kMaxExtent;
      break;
    case Operation::WriteZeroes:
      command = NBD_CMD_WRITE_ZEROES;
      most = kMaxExtent;
      if (!request.may_unmap) flags = NBD_CMD_FLAG_NO_HOLE;
      break;
  }
  // A server that cannot flush but can write through does that with everything, and there is nothing to flush.
  const bool flushes = about_.has(NBD_FLAG_SEND_FLUSH);
  if (!flushes && about_.has(NBD_FLAG_SEND_FUA) && command != NBD_CMD_READ) flags |= NBD_CMD_FLAG_FUA;
  ++job->pieces;  // this function's own
  if (command == NBD_CMD_FLUSH) {
    if (flushes) add_piece(job, command, 0, 0, 0, 0);
  } else {
    for (u64 at = 0; at < request.length; at += most) {
      add_piece(job, command, flags, request.offset + at, std::min(most, request.length - at), at);
    }
  }
  Piece last;
  last.job = job;
  end_piece(last, Status::Ok);
}

void Client::end_piece(Piece& piece, Status status) {
  Job& job = *piece.job;
  if (status != Status::Ok && job.status == Status::Ok) job.status = status;
  if (--job.pieces > 0 || job.request == nullptr) return;
  ended_some_ = true;
  job.request->done(*job.request, job.status);
  in_flight_.end();
}

// The connection

bool Client::fits(const Export& found) const {
  constexpr u16 kNeeded = NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES;
  return found.size == about_.size && (about_.flags & ~found.flags & kNeeded) == 0 &&
         (about_.has(NBD_FLAG_READ_ONLY) || !found.has(NBD_FLAG_READ_ONLY)) &&
         found.minimum_block <= about_.minimum_block && found.maximum_payload >= about_.maximum_payload;
}

void Client::pause_before_next_attempt() {
  pause_ns_ = std::clamp(pause_ns_ * 2, kShortestPause, kLongestPause);
  next_attempt_ns_ = host::Loop::now_ns() + pause_ns_;
}

/// False: not yet.
bool Client::connect() {
  const u64 now = host::Loop::now_ns();
  if (now < next_attempt_ns_) return false;
  const u64 deadline = std::min(now + kConnecting, gave_up_ ? now + kSecond : waiting_since_ns_ + patience_);
  auto made = Link::connect(target_, wake_, deadline, [this] { return stopping(); });
  if (made && !fits((*made)->about())) {
    made = fail(ErrorKind::Usage, "{}: the export is not what it was", target_.uri.text);
  }
  if (!made) {
    log::debug("{}", made.error().message);
    pause_before_next_attempt();
    return false;
  }
  log::warning("{} is connected again", target_.uri.text);
  link_ = std::move(*made);
  replies_ = std::make_unique<Replies>(*this, link_->about().structured);
  gave_up_ = false;
  more_ = true;
  replaying_ = unflushed_.size() > 0;
  replayed_ = 0;
  return true;
}

void Client::lose() {
  log::warning("{}: the connection is lost", target_.uri.text);
  link_.reset();
  pause_before_next_attempt();
  more_ = leaving_ = false;
  head_sent_ = kRequestSize;
  body_ = {};
  std::vector<std::unique_ptr<Piece>> lost;
  for (u32 number = 0; number < kSlots; ++number) {
    auto& slot = slots_[number];
    if (!slot.piece) continue;
    lost.push_back(std::move(slot.piece));
    ++slot.generation;
    free_slots_.push_back(number);
  }
  for (auto& piece : lost) {
    piece->received = piece->error = 0;
    if (!piece->job) continue;  // it is done again from the beginning
    if (++piece->lost >= kMaxLost) {
      if (piece->job->request == nullptr) own_flush_ = false;
      end_piece(*piece, Status::IoError);
    } else {
      waiting_.push_front(std::move(piece));
    }
  }
  if (!waiting_.empty() && waiting_since_ns_ == 0) waiting_since_ns_ = host::Loop::now_ns();
}

void Client::give_up() {
  if (!gave_up_) log::error("{}: the server does not come back; requests fail", target_.uri.text);
  gave_up_ = ended_some_ = true;
  waiting_since_ns_ = 0;
  auto failed = std::exchange(waiting_, {});
  for (auto& piece : failed) {
    if (piece->job->request == nullptr) own_flush_ = false;
    end_piece(*piece, Status::IoError);
  }
}

}  // namespace vireo::block::nbd
