// The block device (virtio 1.2, 5.2) over a block::Disk.
//
//   notify(): pops requests, checks them, submits them ---> the disk works on guest memory itself, no byte is copied
//   done():   on the disk's thread: status, used ring, interrupt
//
// As many requests are in flight as a queue has descriptors, at most. A cache that the driver did not ask for, or
// switched off (CONFIG_WCE), is none: each write is followed by a flush before it is complete.
//
// Threads: a request is one thread's until it is submitted, and the one's that calls done() afterwards. The queue's
// mutex is not held while the disk is called.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "block/api/disk.h"
#include "virtio/blk/spec.h"
#include "virtio/device/device.h"

namespace vireo::virtio {

class Blk final : public Device {
 public:
  /// `disk` outlives the device. Of `serial` the first 20 bytes are shown. `queues` is 1..64.
  Blk(block::Disk& disk, std::string serial, unsigned queues);
  ~Blk() override;

  u16 id() const override { return blk::kDeviceId; }
  u32 pci_class() const override { return 0x010000; }
  u64 features() const override;
  std::span<const u16> queues() const override { return sizes_; }
  u32 config_size() const override { return blk::config::kSize; }

  bool negotiated(u64 features) override;
  void notify(unsigned queue) override;
  void drain() override;
  void reset() override;
  void read_config(u32 offset, std::span<u8> to) override;
  void write_config(u32 offset, std::span<const u8> from) override;

  std::vector<u8> save() const override;
  Result<> load(std::span<const u8> state) override;

 private:
  struct Request;
  using Pool = std::vector<std::unique_ptr<Request>>;

  void begin(Request& request);
  void read_or_write(Request& request, block::Operation operation, const Pieces& data, u64 sector);
  void discard_or_zero(Request& request, block::Operation operation);
  void get_id(Request& request);
  void submit(Request& request);
  static void done(block::Request& request, block::Status status);
  void finish(Request& request, u8 status);

  block::Disk& disk_;
  const std::string serial_;
  const std::vector<u16> sizes_;
  std::vector<Pool> idle_;  ///< by queue, whose mutex guards it
  std::atomic<u32> in_flight_{0};
  std::atomic<u64> features_{0};
  std::atomic<bool> writeback_{true};
};

}  // namespace vireo::virtio
