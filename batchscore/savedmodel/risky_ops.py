"""TensorFlow ops that do more than compute, by what they do, and those that are known to do no more.

The choice is based on TensorFlow 2.21's registry of ops. `computing_ops.txt` lists the public ops that only
compute, or keep their state inside the process. Whatever stands in neither list is unknown: custom ops, ops of
special hardware, internal ops, and ops that a later TensorFlow adds.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

_FAMILIES: dict[str, str] = {
    "reads files": (
        "ReadFile MatchingFiles WholeFileReader WholeFileReaderV2 TextLineReader TextLineReaderV2 "
        "TFRecordReader TFRecordReaderV2 FixedLengthRecordReader FixedLengthRecordReaderV2 LMDBReader "
        "IdentityReader IdentityReaderV2 ReaderRead ReaderReadV2 ReaderReadUpTo ReaderReadUpToV2 "
        "ReaderRestoreState ReaderRestoreStateV2 TextLineDataset TFRecordDataset TFRecordDatasetV2 "
        "FixedLengthRecordDataset FixedLengthRecordDatasetV2 CSVDataset CSVDatasetV2 ExperimentalCSVDataset "
        "LMDBDataset ExperimentalLMDBDataset MatchingFilesDataset ExperimentalMatchingFilesDataset "
        "LoadDataset ListSnapshotChunksDataset SnapshotChunkDataset SnapshotDatasetReader "
        "SnapshotNestedDatasetReader LoadAndRemapMatrix GenerateVocabRemapping ImmutableConst RecordInput "
        "Skipgram DTensorRestoreV2"
    ),
    "writes files": (
        "WriteFile SaveDataset SaveDatasetV2 DatasetToTFRecord ExperimentalDatasetToTFRecord CacheDataset "
        "CacheDatasetV2 SnapshotDataset SnapshotDatasetV2 DistributedSave DumpTensor "
        "CalibrationStatisticsSaver CreateSummaryFileWriter CreateSummaryDbWriter SummaryWriter "
        "CloseSummaryWriter FlushSummaryWriter ImportEvent WriteAudioSummary WriteGraphSummary "
        "WriteHistogramSummary WriteImageSummary WriteRawProtoSummary WriteScalarSummary WriteSummary "
        "StatsAggregatorSetSummaryWriter"
    ),
    "calls Python": "PyFunc PyFuncStateless EagerPyFunc",
    "opens connections": (
        "RpcCall RpcCheckStatus RpcClient RpcGetValue RpcServer RpcServerRegister RpcServerStart "
        "DeleteRpcFutureResource RemoteCall Send Recv DataServiceDataset DataServiceDatasetV2 "
        "DataServiceDatasetV3 DataServiceDatasetV4 RegisterDataset RegisterDatasetV2 SqlDataset "
        "ExperimentalSqlDataset WorkerHeartbeat CollectiveAllToAllV2 CollectiveAllToAllV3 "
        "CollectiveAssignGroupV2 CollectiveBcastRecv CollectiveBcastRecvV2 CollectiveBcastSend "
        "CollectiveBcastSendV2 CollectiveGather CollectiveGatherV2 CollectiveInitializeCommunicator "
        "CollectivePermute CollectiveReduce CollectiveReduceScatterV2 CollectiveReduceV2 CollectiveReduceV3 "
        "NcclAllReduce NcclBroadcast NcclReduce FileSystemSetConfiguration"
    ),
    "writes what it sees to a file or an address": (
        "DebugIdentity DebugIdentityV2 DebugIdentityV3 DebugNanCount DebugNumericSummary DebugNumericSummaryV2"
    ),
    "runs a program that is hidden in a value": (
        "DatasetFromGraph DeserializeIterator XlaCallModule XlaCustomCall XlaCustomCallV2 XlaHostCompute"
    ),
    "ends the process": "Abort",
}

RISKY_OPS: dict[str, str] = {op: what for what, ops in _FAMILIES.items() for op in ops.split()}
"""What an op does beyond computing, for every op that is refused by its name alone."""

CHECKPOINT_OPS = {
    "Save": "writes files", "SaveSlices": "writes files", "SaveV2": "writes files",
    "MergeV2Checkpoints": "writes files", "Restore": "reads files", "RestoreSlice": "reads files",
    "RestoreV2": "reads files",
}  # fmt: skip
"""Ops with which every SavedModel saves and restores its variables; harmless only there."""

TEXT_TABLE_OPS = {"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"}
"""Ops that read a vocabulary; harmless if the file is an asset of the model."""


@cache
def computing_ops() -> frozenset[str]:
    """The public ops that are known to do nothing but compute."""
    text = resources.files("batchscore.savedmodel").joinpath("computing_ops.txt").read_text(encoding="ascii")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))
