// The serial line at a pseudo terminal: a program opens its other end like a serial port (screen, picocom, cat),
// whenever it likes. While nobody has it open, output is dropped.
//
// That somebody opens or closes it is learnt by inotify; an idle terminal costs nothing.
#pragma once

#include <memory>
#include <string>

#include "chardev/stream/peer.h"
#include "host/loop.h"

namespace vireo::chardev {

class PtyChannel final : public ByteChannel {
 public:
  /// A new terminal in raw mode. `loop` outlives the channel.
  static Result<std::unique_ptr<PtyChannel>> create(host::Loop& loop);

  /// What to open: "/dev/pts/3".
  const std::string& path() const { return path_; }
  bool connected() const { return peer_.attached(); }

  bool write(std::span<const u8> bytes) override { return peer_.write(bytes); }
  void flush() override { peer_.flush(); }
  void set_sink(ByteSink* sink) override { peer_.set_sink(sink); }
  void resume_input() override { peer_.resume_input(); }

 private:
  PtyChannel(host::Loop& loop, host::Fd master, host::Fd changes, std::string path);
  void look();

  const host::Fd master_, changes_;
  const std::string path_;
  PeerChannel peer_;
  std::unique_ptr<host::Loop::Watcher> watcher_;
};

}  // namespace vireo::chardev
