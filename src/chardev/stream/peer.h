// A channel whose outside comes and goes: somebody connects, and leaves. While nobody is there output is dropped, and
// one who takes nothing does not hold up the guest either.
//
// Threads: attach() and detach() on the event loop's.
#pragma once

#include <functional>
#include <memory>
#include <mutex>

#include "chardev/api/channel.h"
#include "chardev/stream/input.h"
#include "chardev/stream/output.h"

namespace vireo::chardev {

class PeerChannel final : public ByteChannel {
 public:
  /// `loop` outlives the channel.
  explicit PeerChannel(host::Loop& loop) : loop_(loop) {}
  ~PeerChannel() override;

  /// Somebody is there, in place of who was there before. `left` is called on the loop's thread, not from within this
  /// object, when they have said all; they are detached by then.
  void attach(host::Fd fd, std::function<void()> left);
  void detach();
  bool attached() const;

  bool write(std::span<const u8> bytes) override;
  void flush() override;
  void set_sink(ByteSink* sink) override;
  void resume_input() override;

 private:
  struct Peer {
    Peer(host::Loop& loop, host::Fd in, host::Fd out, std::function<void()> ended)
        : output(loop, std::move(out), {}, StreamOutput::WhenStuck::Drop),
          input(loop, std::move(in), {}, std::move(ended)) {}
    StreamOutput output;
    StreamInput input;
  };
  std::shared_ptr<Peer> peer() const;
  void give_sink(Peer& peer);

  host::Loop& loop_;
  mutable std::mutex mutex_;
  std::shared_ptr<Peer> peer_;
  std::mutex sink_mutex_;  ///< held while the sink is called from here; taken before mutex_
  ByteSink* sink_ = nullptr;
  u64 attached_ = 0;  ///< how often somebody came; loop's thread
  /// What was posted to the loop finds out by this that the channel is gone, and holds it up while it works.
  struct Life {
    std::mutex mutex;
    bool over = false;
  };
  std::shared_ptr<Life> life_ = std::make_shared<Life>();
};

}  // namespace vireo::chardev
