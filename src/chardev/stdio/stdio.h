// The serial line on the process's standard input and output.
//
// On a terminal the line is raw, every key goes to the guest, and Ctrl-] leaves. Without a terminal (pipe, file,
// closed) bytes go through unchanged and the end of the input is no event.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "chardev/api/channel.h"
#include "chardev/stdio/terminal.h"
#include "chardev/stream/input.h"
#include "chardev/stream/output.h"

namespace vireo::chardev {

class StdioChannel final : public ByteChannel {
 public:
  /// `left` is called on the loop's thread when the person at the terminal presses Ctrl-]. `loop` outlives the channel.
  /// Makes SIGPIPE ignored in the process. When standard input is a terminal, one line on standard error says how to
  /// leave.
  static Result<std::unique_ptr<StdioChannel>> create(host::Loop& loop, std::function<void()> left);
  /// Writes out what is left, then restores the terminal.
  ~StdioChannel() override;

  bool write(std::span<const u8> bytes) override { return output_.write(bytes); }
  void flush() override { output_.flush(); }
  void set_sink(ByteSink* sink) override;
  void resume_input() override { input_.resume(); }

 private:
  StdioChannel(host::Loop& loop, std::function<void()> left, std::unique_ptr<RawTerminal> terminal);

  std::unique_ptr<RawTerminal> terminal_;
  StreamOutput output_;
  StreamInput input_;
};

}  // namespace vireo::chardev
