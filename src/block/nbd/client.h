// Requests of a disk at an NBD server: many on their way at once, and again at the same server after it was lost.
//
//   request   what submit() gets; cut into
//   piece     what the server gets: at most as long as it takes. A piece waits, is sent (has a slot, whose number and
//             generation are its cookie), is answered; when its last piece has ended, a request has
//   driver    whoever moves the pieces, one at a time: somebody who waits for his own request, until the first
//             submit() starts the thread, which then does it for good. So a process may restrict itself between
//             opening a disk and the first request of a guest (host/sandbox.h)
//   lost      the connection ended, the server broke the protocol or did not answer for kSilence. What was sent and not
//             answered waits again, and the driver connects anew, with growing pauses. What waited for `patience`
//             fails, and so does what comes after it, with an attempt now and then, until the server is back. A piece
//             that was lost kMaxLost times fails, too: it may be what the server dies of
//
// The export that is found again must be as large as before and able to do as much. Writes that were answered and not
// flushed are done again first (unflushed.h).
//
// Threads: submit(), perform() and drain() from any thread. mutex_ guards what callers and the driver share, everything
// else is the driver's.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include "block/api/disk.h"
#include "block/api/in_flight.h"
#include "block/nbd/link.h"
#include "block/nbd/replies.h"
#include "block/nbd/unflushed.h"
#include "host/file_io.h"

namespace vireo::block::nbd {

class Client final : public Replies::Requests {
 public:
  /// `link` is one to `target`.
  Client(Target target, std::unique_ptr<Link> link, host::Wake wake, u64 patience_ns);
  ~Client() override;

  const Export& about() const { return about_; }
  /// The range is in the export, and in whole blocks of its own.
  void submit(Request& request);
  Status perform(const Request& request);
  void drain() { in_flight_.drain(); }

 private:
  static constexpr u32 kSlots = 128;
  static constexpr unsigned kMaxLost = 5;

  /// What becomes of one request.
  struct Job {
    Request* request = nullptr;  ///< none: a flush of the client's own
    u64 pieces = 0;              ///< that have not ended
    Status status = Status::Ok;
  };
  struct Piece : Awaited {
    std::shared_ptr<Job> job;  ///< none: one that is done again
    u16 flags = 0;
    std::vector<iovec> slice;  ///< what `memory` refers to
    u64 mark = 0;              ///< of a flush: what it covers
    unsigned lost = 0;         ///< times
  };
  struct Slot {
    std::unique_ptr<Piece> piece;
    u32 generation = 0;
  };

  // Callers
  void enqueue(Request& request);
  void start_thread();

  // The driver
  void run();
  void turn();
  void take_requests();
  void cut(Request& request);
  void add_piece(const std::shared_ptr<Job>& job, Command command, u16 flags, u64 offset, u64 length, u64 at);
  bool connect();
  void pause_before_next_attempt();
  bool fits(const Export& found) const;
  void lose();
  void fill();
  std::unique_ptr<Piece> next_piece();
  void begin(std::unique_ptr<Piece> piece);
  bool send();
  bool receive();
  void flush_on_own_account();
  void end_piece(Piece& piece, Status status);
  void give_up();
  bool stopping();
  int time_left() const;

  Awaited* find(u64 cookie) override;
  void replied(u64 cookie) override;

  const Target target_;
  const Export about_;
  const host::Wake wake_;
  const u64 patience_;  ///< ns
  InFlight in_flight_;

  std::mutex mutex_;  ///< guards the next group
  std::condition_variable changed_;
  std::deque<Request*> incoming_;
  bool driven_ = false;  ///< by somebody who waits
  bool stop_ = false;
  std::thread thread_;

  std::unique_ptr<Link> link_;
  std::unique_ptr<Replies> replies_;
  std::deque<std::unique_ptr<Piece>> waiting_;
  std::array<Slot, kSlots> slots_;
  std::vector<u32> free_slots_;
  bool replaying_ = false;    ///< what was not flushed is done again
  std::size_t replayed_ = 0;  ///< of it
  Unflushed unflushed_;
  bool own_flush_ = false;       ///< is under way
  bool flush_is_a_lie_ = false;  ///< something that was answered may be lost: the next flush fails

  // What is being sent
  std::array<u8, kRequestSize> head_{};
  std::size_t head_sent_ = kRequestSize;
  host::Scatter body_;
  std::vector<u8> buffer_;

  bool leaving_ = false;      ///< the server said so: perhaps another comes
  bool ended_some_ = false;   ///< in this turn: whoever drives may have what he waits for
  bool more_ = false;         ///< the server may have sent more than was looked at
  u64 progress_ns_ = 0;       ///< when something was answered, or sent after nothing was under way
  u64 waiting_since_ns_ = 0;  ///< for a connection on which something is answered; 0: nothing waits for it
  u64 next_attempt_ns_ = 0;
  u64 pause_ns_ = 0;  ///< before the attempt after the next
  bool gave_up_ = false;
};

}  // namespace vireo::block::nbd
