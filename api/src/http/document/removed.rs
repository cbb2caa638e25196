//! Names that the schema once had, with what took their place: whoever sends one is told.

/// A name that is gone: the type or input that had it, the name, and what to write instead. An empty type stands for any.
const REMOVED: &[(&str, &str, &str)] = &[
    (
        "Mutation",
        "ticketReceive",
        "use `ticketReply`, by which both sides write; `direction: INBOUND` puts a customer's \
      message on record",
    ),
    ("", "TicketReceiveInput", "use TicketReplyInput"),
    ("", "Entry", "its fields stand on the entry itself: use `TimelineEntry`"),
    ("Entry", "entry", "`id`, `occurredAt`, `recordedAt`, `position` and `actor` stand on the entry itself"),
    ("StatusEntry", "to", "use `status`"),
    ("StatusEntry", "from", "use `previousStatus`"),
    ("QueueEntry", "to", "use `queue`"),
    ("QueueEntry", "from", "use `previousQueue`"),
    ("ChangeEntry", "to", "use `value`"),
    ("ChangeEntry", "from", "use `previousValue`"),
    ("EscalationEntry", "reason", "use `explanation`"),
    ("CallEntry", "durationS", "use `duration`, an ISO 8601 duration such as `PT1M30S`"),
    ("TicketLogCallInput", "durationS", "use `duration`, an ISO 8601 duration such as `PT1M30S`"),
    ("ReportDurations", "meanS", "use `mean`, an ISO 8601 duration"),
    ("ReportDurations", "medianS", "use `median`, an ISO 8601 duration"),
    ("ReportDurations", "p90S", "use `p90`, an ISO 8601 duration"),
    ("ReportDurations", "minS", "use `min`, an ISO 8601 duration"),
    ("ReportDurations", "maxS", "use `max`, an ISO 8601 duration"),
];

/// The message of a validator, and where it is about a name that is gone, what to write instead.
pub fn with_successor(message: String) -> String {
    let named: Vec<&str> =
        message.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
    let about = |(ty, name, _): &&(&str, &str, &str)| {
        let by_type =
            ty.is_empty() || named.contains(ty) || *ty == "Entry" && named.iter().any(|word| word.ends_with("Entry"));
        by_type && named.contains(name)
    };
    match REMOVED.iter().find(about) {
        Some((_, _, successor)) => format!("{message}. It was removed: {successor}"),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_their_types_have_a_successor() {
        let gone = with_successor("type `StatusEntry` does not have a field `to`".into());
        assert_eq!(gone, "type `StatusEntry` does not have a field `to`. It was removed: use `status`");
        for other in ["type `Report` does not have a field `too`", "type `MessageEntry` does not have a field `to`"] {
            assert_eq!(with_successor(other.into()), other);
        }
        assert!(
            with_successor("type `NoteEntry` does not have a field `entry`".into()).contains("on the entry itself")
        );
    }
}
