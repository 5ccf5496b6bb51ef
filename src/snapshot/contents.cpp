#include "snapshot/contents.h"

#include <algorithm>

#include "base/bytes.h"
#include "snapshot/cpu_check.h"
#include "snapshot/pages.h"
#include "vm/x86/state_fields.h"

namespace vireo::snapshot {
namespace {

constexpr std::size_t kMaxStates = 4096;
constexpr std::size_t kMaxStateBytes = 64 * kMiB;  ///< of all devices together
constexpr std::size_t kPiece = 512 * kKiB;         ///< of a boot file in one record

std::vector<u8> pack(const vm::StateRecord& record) {
  ByteWriter out;
  out.put(static_cast<u16>(record.name.size()));
  out.put(record.version);
  out.put_bytes({reinterpret_cast<const u8*>(record.name.data()), record.name.size()});
  out.put_bytes(record.bytes);
  return std::move(out.bytes());
}

Result<vm::StateRecord> unpack(std::span<const u8> payload) {
  ByteReader in(payload);
  const u16 length = in.take<u16>();
  vm::StateRecord record;
  record.version = in.take<u16>();
  const auto name = in.take_bytes(length);
  const auto bytes = in.take_bytes(in.remaining());
  const bool good = in.ok() && length >= 1 && length <= 64 &&
                    std::all_of(name.begin(), name.end(), [](u8 c) { return c > ' ' && c <= '~'; });
  if (!good) return fail(ErrorKind::Usage, "it has a state record without a proper name");
  record.name.assign(name.begin(), name.end());
  record.bytes.assign(bytes.begin(), bytes.end());
  return record;
}

/// Index and state of a vCPU.
vm::StateRecord cpu_record(unsigned index, const vm::x86::CpuState& cpu) {
  vm::Archive archive;
  auto state = cpu;  // an archive goes both ways
  fields(archive, state);
  return {fmt::format("cpu{}", index), vm::x86::kCpuStateVersion, archive.take_bytes()};
}

Result<vm::x86::CpuState> cpu_state(const vm::StateRecord& record, std::size_t index) {
  if (record.name != fmt::format("cpu{}", index)) return fail(ErrorKind::Usage, "its vCPUs are not in order");
  if (record.version != vm::x86::kCpuStateVersion) {
    return fail(ErrorKind::Usage, "state of '{}' has version {}, this program reads version {}", record.name,
                record.version, vm::x86::kCpuStateVersion);
  }
  vm::Archive archive{std::span<const u8>(record.bytes)};
  vm::x86::CpuState state;
  fields(archive, state);
  if (!archive.finished()) return fail(ErrorKind::Usage, "state of '{}' is corrupt", record.name);
  TRY(check(state));
  return state;
}

Result<MachineDescription> describe(const Record& first) {
  if (first.type != RecordType::Machine)
    return fail(ErrorKind::Usage, "it does not begin with a description of its machine");
  MachineDescription description;
  const vm::StateRecord record{"machine", MachineDescription::kVersion, {first.payload.begin(), first.payload.end()}};
  TRY(vm::load_fields(record, description));
  TRY(check(description));
  return description;
}

}  // namespace

Result<> save(const Contents& contents, const vm::GuestMemory& memory, const host::Fd& pagemap_file, Writer& writer) {
  TRY(writer.begin());
  TRY(writer.put(RecordType::Machine, vm::save_fields("machine", contents.machine).bytes));
  for (const auto& state : contents.states) TRY(writer.put(RecordType::State, pack(state)));
  for (unsigned i = 0; i < contents.cpus.size(); ++i) {
    TRY(writer.put(RecordType::Cpu, pack(cpu_record(i, contents.cpus[i]))));
  }
  PageWriter pages;
  return pages.put_all(memory, pagemap_file, writer);
}

Result<Contents> examine(Source& source) {
  Reader reader(source);
  TRY(reader.begin());
  Contents contents;
  {
    TRY_ASSIGN(const auto first, reader.next());
    TRY_ASSIGN(contents.machine, describe(first));
  }
  PageReader pages;
  std::size_t state_bytes = 0;
  for (;;) {
    TRY_ASSIGN(const auto record, reader.next());
    switch (record.type) {
      case RecordType::Machine:
        return fail(ErrorKind::Usage, "it describes two machines");
      case RecordType::State: {
        state_bytes += record.payload.size();
        if (contents.states.size() >= kMaxStates || state_bytes > kMaxStateBytes) {
          return fail(ErrorKind::Usage, "it has more device states than any machine");
        }
        TRY_ASSIGN(contents.states.emplace_back(), unpack(record.payload));
        break;
      }
      case RecordType::Cpu: {
        if (contents.cpus.size() >= contents.machine.cpus)
          return fail(ErrorKind::Usage, "it has more vCPUs than it says");
        TRY_ASSIGN(const auto packed, unpack(record.payload));
        TRY_ASSIGN(auto state, cpu_state(packed, contents.cpus.size()));
        contents.cpus.push_back(state);
        break;
      }
      case RecordType::Memory:
        TRY(pages.check(record.payload, ram_size(contents.machine)));
        break;
      case RecordType::BootFile:
        break;
      case RecordType::End:
        if (contents.cpus.size() != contents.machine.cpus)
          return fail(ErrorKind::Usage, "it has fewer vCPUs than it says");
        return contents;
    }
  }
}

Result<> load_memory(Source& source, vm::GuestMemory& memory) {
  Reader reader(source);
  TRY(reader.begin());
  PageReader pages;
  for (;;) {
    TRY_ASSIGN(const auto record, reader.next());
    if (record.type == RecordType::Memory) TRY(pages.load(record.payload, memory));
    if (record.type == RecordType::End) return {};
  }
}

Result<> save_boot_file(Writer& writer, BootFile which, Source& from) {
  std::vector<u8> payload(1 + kPiece);
  payload[0] = static_cast<u8>(which);
  for (;;) {
    TRY_ASSIGN(const auto got, from.read(std::span(payload).subspan(1)));
    TRY(writer.put(RecordType::BootFile, std::span(payload).first(1 + got)));
    if (got < kPiece) return {};
  }
}

Result<bool> load_boot_file(Source& source, BootFile which, Sink& to) {
  Reader reader(source);
  TRY(reader.begin());
  bool found = false;
  for (;;) {
    TRY_ASSIGN(const auto record, reader.next());
    if (record.type == RecordType::End) return found;
    if (record.type != RecordType::BootFile || record.payload.empty() || record.payload[0] != static_cast<u8>(which))
      continue;
    found = true;
    TRY(to.write(record.payload.subspan(1)));
  }
}

}  // namespace vireo::snapshot
