// The serial line's output into a file. There is no input.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "chardev/api/channel.h"
#include "chardev/stream/output.h"

namespace vireo::chardev {

class FileChannel final : public ByteChannel {
 public:
  /// Creates the file or empties it; a FIFO or a device is opened as it is. `loop` outlives the channel.
  static Result<std::unique_ptr<FileChannel>> create(host::Loop& loop, const std::string& path);

  bool write(std::span<const u8> bytes) override { return output_.write(bytes); }
  void flush() override { output_.flush(); }
  void set_sink(ByteSink* sink) override;
  void resume_input() override {}

 private:
  FileChannel(host::Loop& loop, host::Fd fd);
  StreamOutput output_;
};

}  // namespace vireo::chardev
