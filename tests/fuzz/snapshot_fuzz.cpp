// The state file is hostile: no stream may read or write out of bounds, hang or take more memory than a record's worth.
#include <algorithm>
#include <cstdlib>

#include "base/bytes.h"
#include "snapshot/contents.h"

using namespace vireo;

namespace {

class ByteSource final : public snapshot::Source {
 public:
  explicit ByteSource(std::span<const u8> bytes) : bytes_(bytes) {}
  Result<std::size_t> read(std::span<u8> to) override {
    const auto count = std::min(to.size(), bytes_.size());
    std::copy_n(bytes_.begin(), count, to.begin());
    bytes_ = bytes_.subspan(count);
    return count;
  }

 private:
  std::span<const u8> bytes_;
};

class NoSink final : public snapshot::Sink {
 public:
  Result<> write(std::span<const u8>) override { return {}; }
};

class ByteSink final : public snapshot::Sink {
 public:
  Result<> write(std::span<const u8> more) override {
    bytes.insert(bytes.end(), more.begin(), more.end());
    return {};
  }
  std::vector<u8> bytes;
};

/// A sound file of a 1 MiB machine, into which the input puts records of its own: type, length (u16), payload.
std::vector<u8> framed(std::span<const u8> input) {
  ByteSink sink;
  snapshot::Writer writer(sink);
  (void)writer.begin();
  ByteReader in(input);
  const u8 first = in.take<u8>();
  if (first % 4 != 0) {
    snapshot::MachineDescription machine;
    machine.tsc_khz = 1'000'000;
    machine.cpus = first % 2;
    machine.memory = kMiB;
    machine.slots = {{0, kMiB, 0}};
    (void)writer.put(snapshot::RecordType::Machine, vm::save_fields("machine", machine).bytes);
  }
  while (in.remaining() != 0) {
    const u8 type = in.take<u8>();
    const auto length = std::min<std::size_t>(in.take<u16>(), in.remaining());
    (void)writer.put(static_cast<snapshot::RecordType>(type % 8), in.take_bytes(length));
  }
  (void)writer.end();
  return std::move(sink.bytes);
}

void restore(std::span<const u8> bytes) {
  ByteSource first(bytes);
  const auto contents = snapshot::examine(first);
  if (!contents || snapshot::ram_size(contents->machine) > 64 * kMiB) return;
  std::vector<vm::GuestMemory::Slot> slots;
  for (const auto& slot : contents->machine.slots) slots.push_back({slot.gpa, slot.size, slot.offset});
  auto memory = vm::GuestMemory::create(std::move(slots));
  if (!memory) std::abort();  // examine() accepted the slots
  ByteSource second(bytes), third(bytes);
  (void)snapshot::load_memory(second, *memory);
  NoSink sink;
  (void)snapshot::load_boot_file(third, snapshot::BootFile::Kernel, sink);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  if (size > (1 << 20)) return 0;
  const std::span input(data, size);
  restore(input);
  restore(framed(input));
  return 0;
}
