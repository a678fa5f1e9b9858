-- What was received, and where it went: the proof behind "every frame once".

CREATE TABLE ledger (
    first_transaction bigint         NOT NULL,
    piece             smallint       NOT NULL,
    last_transaction  bigint         NOT NULL,
    epoch             bigint         NOT NULL,
    ids               int8multirange NOT NULL,
    days              jsonb          NOT NULL,
    first_received    timestamptz,
    last_received     timestamptz,
    committed_at      timestamptz    NOT NULL DEFAULT now(),
    PRIMARY KEY (first_transaction, piece)
);
COMMENT ON TABLE ledger IS 'Each row: the transactions of some minutes, and the ids in logs that they took. Written in those transactions';
COMMENT ON COLUMN ledger.first_transaction IS 'Number of the first transaction (positions.position of the pipeline after it)';
COMMENT ON COLUMN ledger.piece IS 'Counts the rows that begin within that transaction: an input that does not go on where it was begins another';
COMMENT ON COLUMN ledger.last_transaction IS 'Number of the last one; the next row begins within it, or with the one after it';
COMMENT ON COLUMN ledger.epoch IS 'Epoch of the daemon that wrote them';
COMMENT ON COLUMN ledger.ids IS 'Ids of all frames: each is in logs once, or in quarantine, or its day was dropped';
COMMENT ON COLUMN ledger.days IS 'Frames by the UTC day of their event_time: {"2026-11-20": 5000}';
COMMENT ON COLUMN ledger.first_received IS 'When the first of the frames was received';
COMMENT ON COLUMN ledger.last_received IS 'When the last of the frames was received';
COMMENT ON COLUMN ledger.committed_at IS 'When the last of the transactions began to be committed';

CREATE TABLE ledger_ranges (
    first_transaction bigint   NOT NULL,
    piece             smallint NOT NULL,
    input             text     NOT NULL,
    part              text     NOT NULL,
    from_position     bigint   NOT NULL,
    to_position       bigint   NOT NULL,
    frames            bigint   NOT NULL,
    repeated          bigint   NOT NULL,
    cut               bigint   NOT NULL,
    PRIMARY KEY (input, part, first_transaction, piece),
    FOREIGN KEY (first_transaction, piece) REFERENCES ledger ON DELETE CASCADE
);
COMMENT ON TABLE ledger_ranges IS 'The contiguous range of each input that the transactions of a ledger row hold';
COMMENT ON COLUMN ledger_ranges.first_transaction IS 'The ledger row';
COMMENT ON COLUMN ledger_ranges.piece IS 'The ledger row';
COMMENT ON COLUMN ledger_ranges.input IS 'journal, or files:<set>';
COMMENT ON COLUMN ledger_ranges.part IS 'Identity of the file within its set, or of the journal';
COMMENT ON COLUMN ledger_ranges.from_position IS 'Where the range begins, in bytes; the range before it ends there, or a loss explains why not';
COMMENT ON COLUMN ledger_ranges.to_position IS 'Where it ends';
COMMENT ON COLUMN ledger_ranges.frames IS 'Frames in it, each of which has an id';
COMMENT ON COLUMN ledger_ranges.repeated IS 'Further frames: webhook deliveries that had been stored before';
COMMENT ON COLUMN ledger_ranges.cut IS 'Of the frames, those that were over the size limit and lost their end';

CREATE TABLE losses (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    input         text        NOT NULL,
    part          text        NOT NULL,
    from_position bigint,
    to_position   bigint,
    frames        bigint,
    reason        text        NOT NULL,
    noticed_at    timestamptz NOT NULL,
    transaction   bigint      NOT NULL
);
COMMENT ON TABLE losses IS 'What was there and could not be stored, with the reason';
COMMENT ON COLUMN losses.id IS 'Key';
COMMENT ON COLUMN losses.input IS 'journal, files:<set>, syslog:<name> or webhook:<name>';
COMMENT ON COLUMN losses.part IS 'As in ledger_ranges; empty for what was lost before it reached the journal';
COMMENT ON COLUMN losses.from_position IS 'First byte that is concerned, where that is known';
COMMENT ON COLUMN losses.to_position IS 'One past the last byte';
COMMENT ON COLUMN losses.frames IS 'Frames, where their number is known';
COMMENT ON COLUMN losses.reason IS 'kernel_drop, journal_full, damaged_record, truncated_unread, copytruncate';
COMMENT ON COLUMN losses.noticed_at IS 'When it was noticed';
COMMENT ON COLUMN losses.transaction IS 'Number of the transaction that told of it';
-- What is looked for again after a restart, and not found again, is one loss.
CREATE UNIQUE INDEX losses_once ON losses (input, part, reason, from_position, to_position) WHERE from_position IS NOT NULL;
