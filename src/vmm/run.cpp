#include "vmm/run.h"

#include <algorithm>
#include <csignal>

#include "block/nbd/nbd.h"
#include "chardev/file/file.h"
#include "cpu/x86/cpuid_model.h"
#include "host/perf_map.h"
#include "host/random.h"
#include "host/sandbox.h"
#include "host/thread.h"
#include "host/tsc.h"
#include "net/vsock/unix_streams.h"
#include "vmm/balloon_commands.h"
#include "vmm/block_commands.h"
#include "vmm/card_kinds.h"
#include "vmm/cards.h"
#include "vmm/console_commands.h"
#include "vmm/control_commands.h"
#include "vmm/disks.h"
#include "vmm/engines.h"
#include "vmm/firmware_file.h"
#include "vmm/input_commands.h"
#include "vmm/life.h"
#include "vmm/network.h"
#include "vmm/network_commands.h"
#include "vmm/notice.h"
#include "vmm/passed_files.h"
#include "vmm/pc_owner.h"
#include "vmm/saved_machine.h"
#include "vmm/seed_disk.h"
#include "vmm/shares.h"

namespace vireo::vmm {
namespace {

void set_firmware(machine::Spec& spec, const Config& config, const BootFiles& files) {
  spec.firmware = files.firmware();
  spec.firmware_size = files.firmware_size();
  spec.firmware_boot = {.menu = config.boot.menu, .disks = config.boot.disks};
}

/// What is to be built, from the configuration alone.
Result<machine::Spec> spec_of(const Config& config, const BootFiles& files) {
  machine::Spec spec;
  if (config.kernel.empty() && config.firmware.empty()) {
    return fail(ErrorKind::Usage,
                "there is nothing to run; name a kernel with --kernel, firmware with --firmware, or a saved machine "
                "with --restore");
  }
  spec.name = config.name.value_or(spec.name);
  spec.memory = config.memory.value_or(spec.memory);
  spec.cpus = static_cast<unsigned>(std::min<u64>(config.cpus.value_or(spec.cpus), ~0u));
  spec.kernel = files.kernel();
  spec.initrd = files.initrd();
  set_firmware(spec, config, files);
  spec.command_line = config.append.value_or("");
  return spec;
}

/// What was saved; the configuration may say the same again, and name another kernel for the next reboot.
Result<machine::Spec> spec_of(const Config& config, const snapshot::MachineDescription& saved, const BootFiles& files) {
  if (config.memory.value_or(saved.memory) != saved.memory) {
    return fail(ErrorKind::Usage, "--memory: the saved machine has {} MiB; leave the option away", saved.memory / kMiB);
  }
  if (config.cpus.value_or(saved.cpus) != saved.cpus) {
    return fail(ErrorKind::Usage, "--cpus: the saved machine has {}; leave the option away", saved.cpus);
  }
  machine::Spec spec;
  spec.name = config.name.value_or(saved.name);
  spec.memory = saved.memory;
  spec.cpus = saved.cpus;
  spec.kernel = files.kernel();
  spec.initrd = files.initrd();
  set_firmware(spec, config, files);
  spec.command_line = config.append.value_or(saved.append);
  return spec;
}

Result<BootFiles> open_boot_files(const Config& config) {
  std::string firmware;
  if (!config.firmware.empty()) {
    TRY_ASSIGN(firmware, find_firmware(config.firmware));
  }
  return BootFiles::from_paths({.kernel = config.kernel, .initrd = config.initrd, .firmware = firmware});
}

/// What the configuration says. By itself a new machine has one, and a saved one those that it had.
std::vector<NetConfig> nics_of(const Config& config, const std::optional<SavedMachine>& saved) {
  std::vector<NetConfig> nics = config.nics.value_or(std::vector<NetConfig>{});
  const bool said = std::ranges::any_of(nics, [](const NetConfig& nic) { return nic.id.empty(); });
  if (!config.nics || (!nics.empty() && !said)) nics.resize(nics.size() + (saved ? saved->nics() : 1));
  return nics;
}

/// Into the machine or, those with a name, where devices of later find them. The former keep their nodes as well.
Result<std::vector<BlockLease>> place_disks(std::vector<OpenDisk> disks, BlockNodes& nodes) {
  std::vector<BlockLease> leases;
  for (auto& disk : disks) {
    const bool named = !disk.id.empty();
    const auto name = named ? disk.id : fmt::format("disk{}", leases.size());
    TRY(nodes.add(name, std::move(disk)));
    if (named) continue;
    TRY_ASSIGN(auto lease, nodes.take(name, name));
    leases.push_back(std::move(lease));
  }
  return leases;
}

Result<cpu::x86::CpuModel> cpu_model_of(const Config& config) {
  auto model = cpu::x86::find_model(config.cpu);
  if (!model) return fail(model.error().kind, "--cpu: {}", model.error().message);
  return model;
}

/// Where a file will be written, now that it could be.
Result<host::Place> find_place(const std::string& path) {
  TRY_ASSIGN(auto place, host::Place::find(path));
  TRY(host::NewFile::create(place));
  return place;
}

Result<> listen_to_signals(const Config& config, host::Loop& loop, Life& life) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    if (!host::signal_is_ignored(signal)) TRY(loop.add_signal(signal, [&life] { life.ask_for_power_off(); }));
  }
  if (config.save_on) TRY(loop.add_signal(config.save_on->signal, [&life] { life.ask_for_save(); }));
  if (!config.stats.empty()) TRY(loop.add_signal(SIGUSR2, [&life] { life.ask_for_stats(); }));
  return {};
}

/// The last thing before the guest runs, and before any other thread.
Result<> enter_sandbox(const Config& config, const EngineChoice& engine, const PcOwner& owner, const Network& network,
                       std::span<const host::UnixListener* const> listeners) {
  host::SandboxNeeds needs{.folders = {}, .requests = {}, .listeners = {}, .report = config.sandbox == Sandbox::Report};
  for (const auto* listener : listeners) {
    needs.listeners.push_back({.socket = listener->fd().get(), .folder = listener->place().folder().get()});
  }
  for (const auto* place : owner.places()) {
    if (*place) needs.folders.push_back(place->folder().get());
  }
  std::vector<unsigned long> requests;
  const auto name_server_files = network.prepare_sandbox(needs, requests);
  if (engine.engine == Engine::Kvm) {
    const auto of_kvm = cpu::kvm::requests_of_a_running_vm();
    requests.insert(requests.end(), of_kvm.begin(), of_kvm.end());
  }
  needs.requests = requests;
  needs.block_servers =
      std::ranges::any_of(config.disks, [](const DiskConfig& d) { return block::nbd::is_uri(d.file); });
  if (auto entered = host::enter_sandbox(needs); !entered) {
    return fail(entered.error().kind, "the sandbox cannot be entered: {}; --sandbox off runs without it",
                entered.error().message);
  }
  // What root may do by capability it may not any more.
  for (const auto* place : owner.places()) {
    if (*place) TRY(host::NewFile::create(*place));
  }
  return {};
}

}  // namespace

Result<int> run(const Config& config) {
  const Notices notice(config.quiet);
  if (config.kernel.empty() && !config.initrd.empty()) {
    return fail(ErrorKind::Usage, "--initrd goes with a kernel; name it with --kernel");
  }

  if (!config.firmware.empty() && !config.kernel.empty()) {
    return fail(ErrorKind::Usage, "--firmware and --kernel do not go together: firmware boots from a disk");
  }
  if (!config.stats.empty() && config.save_on && config.save_on->signal == SIGUSR2) {
    return fail(ErrorKind::Usage, "SIGUSR2 is for --stats; let --save-on have SIGUSR1");
  }

  // Only looking, so far.
  std::optional<SavedMachine> saved;
  machine::Spec spec;
  BootFiles files;
  if (config.restore.empty()) {
    TRY_ASSIGN(files, open_boot_files(config));
    TRY_ASSIGN(spec, spec_of(config, files));
    TRY(machine::check(spec));
  } else {
    TRY_ASSIGN(saved, SavedMachine::open(config.restore));
    if (config.kernel.empty() && config.firmware.empty()) {
      TRY_ASSIGN(files, BootFiles::from_state(saved->share_file(), config.restore));
    } else {
      TRY_ASSIGN(files, open_boot_files(config));
    }
    TRY_ASSIGN(spec, spec_of(config, saved->description(), files));
    TRY(machine::check(spec));
  }
  host::Place save_place, stats_place;
  if (config.save_on) {
    TRY_ASSIGN(save_place, find_place(config.save_on->file));
  }
  if (!config.stats.empty()) {
    TRY_ASSIGN(stats_place, find_place(config.stats));
  }
  TRY_ASSIGN(const auto model, saved ? saved->cpu_model(config.cpu) : cpu_model_of(config));
  TRY_ASSIGN(const auto engine, choose_engine(config.engine, cpu::kvm::probe()));

  // After the others, which keep their names in the guest.
  TRY_ASSIGN(const auto seed, make_seed_disk(config.seed));
  auto all_disks = config.disks;
  if (seed) all_disks.push_back(seed->disk);
  TRY_ASSIGN(auto disks, open_disks(all_disks));
  PassedFiles passed_files;
  BlockNodes nodes(
      [&passed_files](const std::string& name, bool to_write) { return passed_files.open(name, to_write); });
  TRY_ASSIGN(const auto plugged_disks, place_disks(std::move(disks), nodes));
  TRY_ASSIGN(auto network, Network::open(nics_of(config, saved), spec.name));

  // The machine, without a guest in it yet.
  TRY_ASSIGN(const auto loop, host::Loop::create());
  std::unique_ptr<net::UnixStreams> vsock;
  if (config.vsock) {
    TRY_ASSIGN(vsock, net::UnixStreams::create(*loop, config.vsock->socket));
  }
  TRY_ASSIGN(auto shares, Shares::open(config.shares, *loop));
  TRY_ASSIGN(auto consoles, Consoles::create(config));
  Life life(*loop);
  TRY(listen_to_signals(config, *loop, life));  // before any other thread
  host::install_kick_signal();
  std::unique_ptr<Control> control;
  if (!config.control.empty()) {
    TRY_ASSIGN(control, Control::create(*loop, config.control));
  }
  std::unique_ptr<chardev::FileChannel> firmware_log;
  if (!config.firmware_log.empty()) {
    TRY_ASSIGN(firmware_log, chardev::FileChannel::create(*loop, config.firmware_log));
  }
  vm::VmClock clock(*loop, host::tsc_khz(), saved ? saved->description().tsc_khz : 0);
  machine::PcHost pc_host{.clock = clock,
                          .power = life,
                          .serial = consoles.channels(),
                          .disks = {},
                          .nics = network.nics(),
                          .console_ports = consoles.virtio_ports(),
                          .vsock = {},
                          .inputs = config.inputs,
                          .shares = shares.shares(),
                          .shared_memory = !config.shares.empty(),
                          .firmware_log = firmware_log.get(),
                          .balloon = true,
                          .random = host::fill_random,
                          .make_vcpu = {},
                          .cpuid = {},
                          .make_fabric = {},
                          .open_file = {}};
  for (const auto& disk : plugged_disks) pc_host.disks.push_back({.disk = disk->image.get(), .serial = disk->serial});
  if (config.vsock && vsock) pc_host.vsock = {.cid = config.vsock->cid, .backend = vsock.get()};
  pc_host.open_file = [&files](const std::string& path) { return files.open(path); };
  pc_host.cpuid = [&](unsigned cpu) {
    return cpu::x86::make_cpuid(
        {.vcpu = cpu, .vcpus = spec.cpus, .software = engine.engine != Engine::Kvm, .model = &model});
  };
  // Without what depends on the engine alone: a machine may move between them.
  auto features = cpu::x86::make_cpuid({.software = false, .model = &model});
  std::unique_ptr<host::PerfMap> perf_map;
  if (config.perf_map && engine.engine == Engine::Translate) {
    TRY_ASSIGN(perf_map, host::PerfMap::create());
  }
  plug_in(engine.engine, pc_host, features,
          {.code_cache = code_cache_share(config.code_cache, spec.memory, spec.cpus), .perf_map = perf_map.get()});
  std::unique_ptr<machine::Pc> pc;
  std::unique_ptr<Cards> cards;
  pc_host.ports_changed = [&] { life.ask_for_work([&] { pc->ports().serve(); }); };
  pc_host.card_removed = [&](const std::string& id) { cards->forget(id); };
  TRY_ASSIGN(pc, machine::Pc::create(spec, std::move(pc_host)));
  TRY(shares.start(pc->memory()));
  cards = std::make_unique<Cards>(
      *pc, life, virtio_cards({.nodes = nodes, .network = network, .random = host::fill_random, .cpus = spec.cpus}));

  PcOwner owner({.pc = *pc,
                 .clock = clock,
                 .cards = *cards,
                 .files = files,
                 .engine = engine_name(engine),
                 .cpu_model = model.name,
                 .features = features,
                 .save_place = std::move(save_place),
                 .stats_place = std::move(stats_place),
                 .notice = notice});
  if (saved) {
    TRY(saved->load_into(*pc, clock, *cards, features));
    saved.reset();
  } else {
    TRY(owner.boot());
  }
  notice("engine: {} ({}); CPU model: {}", engine_name(engine), engine.why, model.name);
  const auto left = [&life, notice] {
    notice("left the console; the machine is stopped");
    life.pull_plug(Cause::HostUi);
  };
  TRY(consoles.open(*loop, left, notice));

  std::vector<vm::Vcpu*> vcpus;
  for (const auto& vcpu : pc->vcpus()) vcpus.push_back(vcpu.get());
  CpuThreads cpus(std::move(vcpus), [&](unsigned cpu, vm::Exit exit) { life.cpu_ended(cpu, std::move(exit)); });
  life.own(owner, cpus, config.on_crash, config.after_save);
  InputCommands inputs(*loop, life, pc->inputs());
  std::optional<BalloonWatch> balloon;
  std::vector<const host::UnixListener*> listeners;
  for (const auto& port : consoles.ports()) {
    if (port.listener != nullptr) listeners.push_back(port.listener);
  }
  if (vsock) listeners.push_back(&vsock->listener());
  if (control) {
    add_commands(*control, {.life = life,
                            .pc = *pc,
                            .cpus = cpus,
                            .kvm_usable = cpu::kvm::probe().usable,
                            .kvm_used = engine.engine == Engine::Kvm});
    add_console_commands(control->commands(), consoles);
    inputs.add_commands(control->commands());
    passed_files.add_commands(control->commands());
    add_block_commands(control->commands(), nodes);
    add_network_commands(control->commands(), network);
    balloon.emplace(*loop, *pc, [&control](u64 bytes) { control->announce("BALLOON_CHANGE", {{"actual", bytes}}); });
    balloon->add_commands(control->commands());
    cards->add_commands(control->commands(), [&control](const std::string& id) {
      control->announce("DEVICE_DELETED", {{"device", id}, {"path", "/machine/peripheral/" + id}});
    });
    life.observe([&control](const LifeEvent& event) { announce(*control, event); });
    listeners.push_back(&control->listener());
  }
  if (config.sandbox != Sandbox::Off) TRY(enter_sandbox(config, engine, owner, network, listeners));
  network.start();
  life.start();
  loop->run();
  if (control) control->flush();
  cpus.pause();
  owner.set_time(false);
  owner.write_stats();
  consoles.flush();
  if (firmware_log) firmware_log->flush();
  return life.exit_code();
}

}  // namespace vireo::vmm
