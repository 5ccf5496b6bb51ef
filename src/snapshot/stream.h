// The state file: a whole stopped machine as a stream of checked records.
//
//   file    = magic, version, CRC, record*          (all integers little endian)
//   record  = type u32, length u32, CRC-32C u32 over type, length and payload, payload
//
// A writer and a reader of records; what is in them is in contents.h. The stream is read once, from front to back, so
// that it may as well come through a pipe. Everything in it is hostile: a record is bounded and its CRC is checked
// before anybody sees its payload. The last record is End, and nothing follows it: a file that was cut off is noticed.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace vireo::snapshot {

class Sink {
 public:
  virtual ~Sink() = default;
  virtual Result<> write(std::span<const u8> bytes) = 0;
};

class Source {
 public:
  virtual ~Source() = default;
  /// Fills `bytes`; fewer only at the end of the stream.
  virtual Result<std::size_t> read(std::span<u8> bytes) = 0;
};

constexpr u64 kMagic = 0x5353'004F'4552'4956;  ///< "VIREO\0SS"
/// Format of the stream and of the payloads in contents.h. Devices have versions of their own.
constexpr u32 kFormatVersion = 1;

enum class RecordType : u32 {
  Machine = 1,   ///< first: what was saved (MachineDescription)
  State = 2,     ///< one StateRecord: a device or the clock
  Cpu = 3,       ///< one vCPU
  Memory = 4,    ///< up to 256 KiB of RAM
  BootFile = 5,  ///< a piece of the kernel or initrd that a guest reboot needs
  End = 6,       ///< number of records before it, u64
};

struct Record {
  RecordType type = RecordType::End;
  std::span<const u8> payload;  ///< valid until the next record is read
};

class Writer {
 public:
  static constexpr std::size_t kMaxPayload = 1 << 20;

  explicit Writer(Sink& sink) : sink_(sink) {}
  Result<> begin();
  /// Fails when the payload is longer than kMaxPayload.
  Result<> put(RecordType type, std::span<const u8> payload);
  Result<> end();

 private:
  Sink& sink_;
  u64 records_ = 0;
};

class Reader {
 public:
  explicit Reader(Source& source) : source_(source) {}
  /// Checks the head of the file.
  Result<> begin();
  /// The next record; after End there is none to ask for. Errors are of kind Usage and say what is wrong with the file.
  Result<Record> next();

 private:
  Source& source_;
  std::vector<u8> buffer_;
  u64 records_ = 0;
};

}  // namespace vireo::snapshot
