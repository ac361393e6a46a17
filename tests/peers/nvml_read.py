"""Reads every GPU with NVIDIA's own client (nvidia-ml-py) and prints one JSON object.

The library is the libnvidia-ml.so.1 on LD_LIBRARY_PATH. Keys and units are those of voxprobe's
GpuReadings; a reading that NVML refuses is null.
"""

import json
import sys

import pynvml as nvml


def value(read, convert=lambda raw: raw):
    """The reading, converted; None for what the device does not support."""
    try:
        return convert(read())
    except nvml.NVMLError as error:
        if error.value in (nvml.NVML_ERROR_NOT_SUPPORTED, nvml.NVML_ERROR_NOT_FOUND):
            return None
        raise


def memory(device):
    read = value(lambda: nvml.nvmlDeviceGetMemoryInfo(device, version=nvml.nvmlMemory_v2))
    return {
        "memory_used_bytes": read and read.used,
        "memory_total_bytes": read and read.total,
    }


def readings(device):
    rates = value(lambda: nvml.nvmlDeviceGetUtilizationRates(device))
    mhz = lambda raw: raw * 1_000_000
    watts = lambda raw: raw / 1000
    kib = lambda raw: raw * 1024
    ecc = lambda kind: value(
        lambda: nvml.nvmlDeviceGetTotalEccErrors(device, kind, nvml.NVML_VOLATILE_ECC)
    )
    throughput = lambda way: value(lambda: nvml.nvmlDeviceGetPcieThroughput(device, way), kib)
    clock = lambda kind: value(lambda: nvml.nvmlDeviceGetClockInfo(device, kind), mhz)
    return memory(device) | {
        "utilization_percent": rates and rates.gpu,
        "memory_utilization_percent": rates and rates.memory,
        "temperature_celsius": value(
            lambda: nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU)
        ),
        "power_watts": value(lambda: nvml.nvmlDeviceGetPowerUsage(device), watts),
        "power_limit_watts": value(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(device), watts),
        "sm_clock_hertz": clock(nvml.NVML_CLOCK_SM),
        "memory_clock_hertz": clock(nvml.NVML_CLOCK_MEM),
        "max_sm_clock_hertz": value(
            lambda: nvml.nvmlDeviceGetMaxClockInfo(device, nvml.NVML_CLOCK_SM), mhz
        ),
        "throttle_reasons": value(
            lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(device)
        ),
        "ecc_corrected": ecc(nvml.NVML_MEMORY_ERROR_TYPE_CORRECTED),
        "ecc_uncorrected": ecc(nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED),
        "pcie_sent_bytes_per_second": throughput(nvml.NVML_PCIE_UTIL_TX_BYTES),
        "pcie_received_bytes_per_second": throughput(nvml.NVML_PCIE_UTIL_RX_BYTES),
        "pcie_replays": value(lambda: nvml.nvmlDeviceGetPcieReplayCounter(device)),
        "pcie_generation": value(lambda: nvml.nvmlDeviceGetCurrPcieLinkGeneration(device)),
        "pcie_width": value(lambda: nvml.nvmlDeviceGetCurrPcieLinkWidth(device)),
    }


def processes(device):
    listed = {}
    for read in (
        nvml.nvmlDeviceGetComputeRunningProcesses_v3,
        nvml.nvmlDeviceGetGraphicsRunningProcesses_v3,
    ):
        for process in value(lambda: read(device)) or []:
            listed[process.pid] = process.usedGpuMemory
    shares = value(lambda: nvml.nvmlDeviceGetProcessUtilization(device, 0)) or []
    shares = {sample.pid: sample.smUtil for sample in shares}
    return [
        {"pid": pid, "memory_bytes": listed[pid], "sm_percent": shares.get(pid)}
        for pid in sorted(listed)
    ]


def describe(device, gpu_id, read, with_processes=True):
    return {
        "id": gpu_id,
        "uuid": nvml.nvmlDeviceGetUUID(device),
        "name": nvml.nvmlDeviceGetName(device),
        "readings": read(device),
        "processes": processes(device) if with_processes else [],
    }


def migs(device):
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(device)):
        mig = value(lambda: nvml.nvmlDeviceGetMigDeviceHandleByIndex(device, index))
        if mig is not None:
            yield index, mig


def main():
    nvml.nvmlInit()
    gpus = []
    for index in range(nvml.nvmlDeviceGetCount()):
        device = nvml.nvmlDeviceGetHandleByIndex(index)
        mode = value(lambda: nvml.nvmlDeviceGetMigMode(device))
        cut_up = mode is not None and mode[0] == nvml.NVML_DEVICE_MIG_ENABLE
        gpus.append(describe(device, str(index), readings, with_processes=not cut_up))
        if cut_up:
            for position, mig in migs(device):
                gpus.append(describe(mig, f"{index}:{position}", memory))
    json.dump({"driver": nvml.nvmlSystemGetDriverVersion(), "gpus": gpus}, sys.stdout)
    nvml.nvmlShutdown()


if __name__ == "__main__":
    main()
