// A channel to nowhere: swallows output, never has input.
#pragma once

#include "chardev/api/channel.h"

namespace vireo::chardev {

class NullChannel final : public ByteChannel {
 public:
  bool write(std::span<const u8>) override { return true; }
  void flush() override {}
  void set_sink(ByteSink*) override {}
  void resume_input() override {}
};

}  // namespace vireo::chardev
