#include "boot/smbios/smbios.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "base/bits.h"
#include "base/bytes.h"

namespace vireo::boot::smbios {
namespace {

// Structure types (7.1 to 7.46)
constexpr u8 kBios = 0, kSystem = 1, kChassis = 3, kMemoryArray = 16, kMemoryDevice = 17, kMappedAddress = 19,
             kBootInformation = 32, kEndOfTable = 127;
constexpr u16 kMemoryArrayHandle = 0x1000, kNoErrorInformation = 0xFFFE;
constexpr u8 kMajor = 3, kMinor = 3;

/// The tables one after the other: header, fields, strings.
class Table {
 public:
  /// Begins a structure; its fields follow through put() and string().
  void begin(u8 type, u16 handle) { type_ = type, handle_ = handle, fields_ = {}, strings_.clear(); }
  template <class T>
  void put(T value) {
    fields_.put(value);
  }
  /// A field that is a string's number: 0 for an empty one (6.1.3).
  void string(std::string_view text) {
    if (text.empty()) return put(u8{0});
    strings_.emplace_back(text);
    put(static_cast<u8>(strings_.size()));
  }
  void end() {
    constexpr std::size_t kHeader = 4;
    out_.put(type_);
    out_.put(static_cast<u8>(kHeader + fields_.bytes().size()));
    out_.put(handle_);
    out_.put_bytes(fields_.bytes());
    for (const auto& text : strings_) {
      out_.put_bytes({reinterpret_cast<const u8*>(text.c_str()), text.size() + 1});
    }
    if (strings_.empty()) out_.put(u8{0});
    out_.put(u8{0});
  }
  const std::vector<u8>& bytes() const { return out_.bytes(); }

 private:
  u8 type_ = 0;
  u16 handle_ = 0;
  ByteWriter fields_, out_;
  std::vector<std::string> strings_;
};

void put_bios(Table& table, const System& system) {
  constexpr u64 kCharacteristicsNotSupported = 1 << 3;
  constexpr u8 kVirtualMachine = 1 << 4;
  table.begin(kBios, 0x0000);
  table.string(system.manufacturer);
  table.string(system.version);
  table.put(u16{0xE000});  // starting segment
  table.string("01/01/2026");
  table.put(u8{1});  // ROM size: 128 KiB
  table.put(kCharacteristicsNotSupported);
  table.put(u8{0}), table.put(kVirtualMachine);
  for (int i = 0; i < 4; ++i) table.put(u8{0xFF});  // BIOS and controller release: none
  table.put(u16{0});
  table.end();
}

void put_system(Table& table, const System& system) {
  constexpr u8 kPowerSwitch = 6;
  table.begin(kSystem, 0x0100);
  table.string(system.manufacturer), table.string(system.product), table.string(system.version), table.string("");
  for (int i = 0; i < 16; ++i) table.put(u8{0});  // UUID: not present
  table.put(kPowerSwitch);
  table.string(""), table.string("");  // SKU, family
  table.end();

  constexpr u8 kOther = 1, kSafe = 3, kNone = 3;
  table.begin(kChassis, 0x0300);
  table.string(system.manufacturer), table.put(kOther), table.string(system.version), table.string(""),
      table.string("");
  table.put(kSafe), table.put(kSafe), table.put(kSafe), table.put(kNone);
  table.put(u32{0}), table.put(u8{0}), table.put(u8{0}), table.put(u8{0}), table.put(u8{0}), table.string("");
  table.end();
}

void put_memory(Table& table, const System& system) {
  constexpr u8 kOther = 1, kSystemMemory = 3, kNoErrorCorrection = 3, kDimm = 9, kRam = 7;
  constexpr u32 kExtendedCapacity = 0x80000000;
  constexpr u16 kUnknownWidth = 0xFFFF, kExtendedSize = 0x7FFF, kDetailOther = 2;
  table.begin(kMemoryArray, kMemoryArrayHandle);
  table.put(kOther), table.put(kSystemMemory), table.put(kNoErrorCorrection);
  table.put(kExtendedCapacity), table.put(kNoErrorInformation), table.put(u16{1}), table.put(system.memory);
  table.end();

  const u64 mib = system.memory / kMiB;
  table.begin(kMemoryDevice, 0x1100);
  table.put(kMemoryArrayHandle), table.put(kNoErrorInformation), table.put(kUnknownWidth), table.put(kUnknownWidth);
  table.put(mib < kExtendedSize ? static_cast<u16>(mib) : kExtendedSize);
  table.put(kDimm), table.put(u8{0}), table.string("DIMM 0"), table.string(""), table.put(kRam),
      table.put(kDetailOther);
  table.put(u16{0}), table.string(system.manufacturer), table.string(""), table.string(""), table.string(""),
      table.put(u8{0});
  table.put(mib < kExtendedSize ? u32{0} : static_cast<u32>(mib));
  for (int i = 0; i < 4; ++i) table.put(u16{0});  // configured speed, voltages: unknown
  table.end();

  constexpr u32 kExtendedAddress = 0xFFFFFFFF;
  u16 handle = 0x1300;
  for (const auto& range : system.ranges) {
    if (range.type != MemoryType::Ram) continue;
    table.begin(kMappedAddress, handle++);
    table.put(kExtendedAddress), table.put(kExtendedAddress), table.put(kMemoryArrayHandle), table.put(u8{1});
    table.put(range.base), table.put(range.end() - 1);
    table.end();
  }
}

/// The 64-bit entry point (5.2.2).
std::vector<u8> entry_point(u64 tables, std::size_t size) {
  constexpr u8 kLength = 0x18;
  ByteWriter out;
  out.put_bytes(std::array<u8, 5>{'_', 'S', 'M', '3', '_'});
  out.put(u8{0});
  out.put(kLength), out.put(kMajor), out.put(kMinor), out.put(u8{0}), out.put(u8{1}), out.put(u8{0});
  out.put(static_cast<u32>(size));
  out.put(tables);
  auto& bytes = out.bytes();
  bytes[5] = static_cast<u8>(-std::accumulate(bytes.begin(), bytes.end(), 0u));
  return std::move(bytes);
}

}  // namespace

Tables make_tables(const System& system, u64 address) {
  Table table;
  put_bios(table, system);
  put_system(table, system);
  put_memory(table, system);
  table.begin(kBootInformation, 0x2000);
  for (int i = 0; i < 7; ++i) table.put(u8{0});  // reserved; status: no errors
  table.end();
  table.begin(kEndOfTable, 0x7F00);
  table.end();

  auto entry = entry_point(address, table.bytes().size());
  return {.entry_point = std::move(entry), .tables = table.bytes()};
}

Result<> write_tables(vm::GuestMemory& memory, const System& system, u64 base, u64 end) {
  constexpr u64 kEntryPointSpace = 32;
  const u64 at = base + kEntryPointSpace;
  const auto [entry, tables] = make_tables(system, at);
  if (at + tables.size() > end || !memory.write(at, tables.data(), tables.size()) ||
      !memory.write(base, entry.data(), entry.size())) {
    return fail(ErrorKind::Failed, "the SMBIOS tables do not fit into {} bytes of guest memory at {:#x}", end - base,
                base);
  }
  return {};
}

}  // namespace vireo::boot::smbios
