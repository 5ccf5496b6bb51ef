#include "support/fake_streams.h"
#include "virtio/vsock/vsock.h"
#include "virtio_ops.h"

namespace {

using namespace vireo;
using namespace virtio::vsock;

/// A packet as a driver would send it: what kind and to which port is the input's.
void send(test::VirtioDriver& driver, u8 op, u8 port) {
  constexpr u64 kAt = test::VirtioDriver::kData + 0x4000;
  auto& ring = driver.ring(tx);
  while (ring.take_used()) {
  }
  if (ring.free() == 0) return;
  const u32 length = op == OP_RW ? 1000u * port : 0;
  const Header header{.src_cid = 3,
                      .dst_cid = kHostCid,
                      .src_port = port & 3u,
                      .dst_port = port & 0x8u ? virtio::Vsock::kFirstHostPort + (port & 3u) : port,
                      .len = length,
                      .type = TYPE_STREAM,
                      .op = op,
                      .flags = port,
                      .buf_alloc = 100'000u,
                      .fwd_cnt = 1000u * port};
  driver.memory.write(kAt, &header, sizeof header);
  ring.add({{kAt, static_cast<u32>(kHeaderSize) + length}});
  driver.notify(tx);
}

}  // namespace

// Ports 0 to 15 of the host have somebody there.
extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  test::FakeStreams streams;
  for (u32 port = 0; port < 16; ++port) streams.add(port);
  unsigned calls = 0;
  u8 port = 0;
  fuzz::play(
      {data, size}, [&] { return std::make_unique<virtio::Vsock>(3, streams); },
      [&](u8 byte, test::VirtioDriver& driver) {
        const u8 low = byte & 15;
        auto& end = *streams.ends[port];
        switch (byte >> 4) {
          case 0:
            if (++calls < 300) streams.call(low & 3);
            break;
          case 1:
            end.room = 1000u * low;
            break;
          case 2:
            end.input.assign(1000u * low, 'x');
            break;
          case 3:
            end.input_ends = (low & 1) != 0;
            end.takes_nothing = (low & 2) != 0;
            end.all_gone = (low & 4) != 0;
            break;
          case 4:
            end.state = static_cast<net::Stream::State>(low % 3);
            break;
          case 5:
            port = low;
            break;
          case 6:
            streams.wake();
            break;
          case 7:
            if (driver.ring(rx).free() != 0) driver.ring(rx).add({{test::VirtioDriver::kData, 512u * low, true}});
            driver.notify(rx);
            while (driver.ring(rx).take_used()) {
            }
            break;
          default:
            send(driver, low, port);
        }
      });
  return 0;
}
