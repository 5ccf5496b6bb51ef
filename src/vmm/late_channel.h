// A channel whose outside comes later: the machine is built and booted before the terminal is made raw, which is the
// last thing that is done before the guest runs.
#pragma once

#include "chardev/api/channel.h"

namespace vireo::vmm {

/// connect() comes once, before the first byte is written.
class LateChannel final : public chardev::ByteChannel {
 public:
  /// `outside` outlives this object's use.
  void connect(chardev::ByteChannel& outside) {
    outside_ = &outside;
    outside_->set_sink(sink_);
  }

  bool write(std::span<const u8> bytes) override { return outside_ == nullptr || outside_->write(bytes); }
  void flush() override {
    if (outside_ != nullptr) outside_->flush();
  }
  void set_sink(chardev::ByteSink* sink) override {
    sink_ = sink;
    if (outside_ != nullptr) outside_->set_sink(sink);
  }
  void resume_input() override {
    if (outside_ != nullptr) outside_->resume_input();
  }

 private:
  chardev::ByteChannel* outside_ = nullptr;
  chardev::ByteSink* sink_ = nullptr;
};

}  // namespace vireo::vmm
