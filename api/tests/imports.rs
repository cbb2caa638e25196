//! Histories of other desks: time is checked and not trusted, names are matched as people read them, and limits are those of what is
//! taken.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use serde_json::{Value, json};
use support::Docket;

const STATUS: &str = r#"
[status]
column = "status"
unknown = "open"
[status.values]
New = { key = "new", category = "new" }
Resolved = { key = "resolved", category = "resolved" }
Closed = { key = "closed", category = "closed" }
"#;

/// A mapping with this way of writing instants and these further lines at its head and end.
fn mapping(head: &str, format: &str, end: &str) -> String {
    format!(
        "{head}\nsource = \"old\"\n[time]\nformat = {format}\nzone = \"Europe/Berlin\"\n[ticket]\nkey = \"id\"\nsubject = \"{{title}}\"\n\
         [event]\nat = \"at\"\n{STATUS}\n{end}"
    )
}

/// Imports rows and gives the report, whether or not some were left out.
fn import(docket: &Docket, mapping: &str, rows: &str) -> Value {
    let (mapping, csv) = (docket.write("mapping.toml", mapping), docket.write("rows.csv", rows));
    let output = docket.run(&["import", "--json", "--mapping", mapping.to_str().unwrap(), csv.to_str().unwrap()]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// The instants of a ticket's events.
fn instants(docket: &Docket, ticket: &str) -> Vec<String> {
    let lines = docket.ok(&["replay", "--json", "--ticket", ticket]);
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.map(|event| event["occurred_at"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_offset_in_the_text_counts_and_other_formats_of_the_list_have_the_mappings_zone() {
    let docket = Docket::new();
    let rows = "id,at,title,status\n\
                A1,2024-03-05 09:00:00 -0500,Login fails,New\n\
                A1,2024-03-05 16:00:00 +0100,Login fails,Resolved\n\
                A1,05.03.2024 17:30,Login fails,Closed\n";
    let report = import(&docket, &mapping("", "[\"%F %T %z\", \"%d.%m.%Y %H:%M\"]", ""), rows);
    assert_eq!(report["bad_row_count"], 0, "{report}");
    let expected = ["2024-03-05T14:00:00.000Z", "2024-03-05T15:00:00.000Z", "2024-03-05T16:30:00.000Z"];
    assert_eq!(instants(&docket, "A1"), expected);
    assert_eq!(docket.ok_json(&["report"])["totals"]["first_resolution"]["max_s"], 3600.0);
    let unreadable = docket.write("mapping.toml", &mapping("", "\"%d/%m/%Y %Z\"", ""));
    let csv = docket.write("rows.csv", rows);
    let error = docket.fails(&["import", "--mapping", unreadable.to_str().unwrap(), csv.to_str().unwrap()]);
    assert!(error.contains("the mapping's time format \"%d/%m/%Y %Z\" cannot be used"), "{error}");
}

#[test]
fn the_hour_that_comes_twice_follows_the_row_before_and_what_lies_ahead_is_left_out_by_name() {
    let docket = Docket::new();
    let rows = "id,at,title,status\n\
                A1,2024-10-27 01:50,x,New\n\
                A1,2024-10-27 02:40,x,Resolved\n\
                A1,2024-10-27 02:20,x,Closed\n\
                B2,2199-01-01 00:00,x,New\n";
    let report = import(&docket, &mapping("", "\"%F %H:%M\"", ""), rows);
    let expected = ["2024-10-26T23:50:00.000Z", "2024-10-27T00:40:00.000Z", "2024-10-27T01:20:00.000Z"];
    assert_eq!(instants(&docket, "A1"), expected);
    assert_eq!((&report["tickets"], &report["bad_row_count"]), (&json!(1), &json!(1)));
    assert_eq!(report["bad_rows"][0]["line"], 5);
    assert!(report["bad_rows"][0]["reason"].as_str().unwrap().contains("its at 2198-12-31T23:00:00.000Z lies ahead"));
}

#[test]
fn what_is_ignored_can_hold_anything_and_what_is_taken_has_its_limit_by_name() {
    let docket = Docket::new();
    let long = "x".repeat(4_001);
    let rows = format!(
        "id,at,title,status,description,note\n\
         A1,2024-01-02T10:00:00Z,{long},New,{long},\n\
         A1,2024-01-02T11:00:00Z,T,Resolved,short,\n\
         B2,2024-01-02T11:00:00Z,T,New,short,{long}\n"
    );
    let mapping = mapping("ignore = [\"description\"]", "\"rfc3339\"", "[fields]\nnote = \"note\"");
    let report = import(&docket, &mapping, &rows);
    assert_eq!(docket.ok_json(&["report"])["totals"]["first_resolution"]["max_s"], 3600.0);
    assert_eq!(report["shortened_subjects"], 1, "{report}");
    assert_eq!(
        report["bad_rows"],
        json!([{
            "file": docket.path("rows.csv").to_str().unwrap(), "line": 4, "reason": "its note has 4001 bytes, at most 4000 are taken",
        }])
    );
}

#[test]
fn parts_of_the_desk_are_found_by_the_names_that_people_read() {
    let docket = Docket::new();
    let desk = docket.write(
        "desk.toml",
        "name = \"Desk\"\n\
         [[status]]\nkey = \"new\"\nname = \"New\"\ncategory = \"new\"\n\
         [[status]]\nkey = \"open\"\nname = \"Open\"\ncategory = \"open\"\n\
         [[status]]\nkey = \"resolved\"\nname = \"Resolved\"\ncategory = \"resolved\"\n\
         [[status]]\nkey = \"closed\"\nname = \"Closed\"\ncategory = \"closed\"\n\
         [[queue]]\nkey = \"billing\"\nname = \"Invoices\"\n\
         [[team]]\nkey = \"front\"\nname = \"Front office\"\n\
         [[agent]]\nkey = \"ann\"\nname = \"Ren\u{e9}e Baker\"\n\
         [[category]]\nkey = \"pay\"\nname = \"Payment\"\n",
    );
    docket.ok(&["apply", desk.to_str().unwrap()]);
    let before = docket.ok(&["desk"]);
    let columns = "[agent]\ncolumn = \"agent\"\n[team]\ncolumn = \"team\"\n[category]\ncolumn = \"cat\"\n";
    let mapping = mapping("", "\"rfc3339\"", columns).replace("[event]", "queue = \"INVOICES\"\n[event]");
    let rows = "id,at,title,status,agent,team,cat\n\
                A1,2024-01-02T10:00:00Z,T,New,Rene\u{301}e Baker,front,payment\n\
                A2,2024-01-02T10:00:00Z,T,New,ann,Front\u{a0}office,PAY\n";
    let report = import(&docket, &mapping, rows);
    assert_eq!((&report["made"], &report["bad_row_count"]), (&json!({}), &json!(0)), "{report}");
    assert_eq!(docket.ok(&["desk"]), before);
}
