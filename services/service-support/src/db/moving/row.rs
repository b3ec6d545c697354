use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::super::Value;

/// A row of a table, by the names of its columns. As JSON it is `{"table": "lessons", "row": {"task_id": "…"}}`: text and whole numbers
/// are themselves, other numbers have a point or an exponent (`85.0`), bytes are `{"bytes": "…"}` in Base64, and a number that JSON has
/// not is `{"real": "inf"}`.
#[derive(Clone, Debug, PartialEq)]
pub struct TableRow {
    /// The table.
    pub table: String,
    /// The values of its columns.
    pub values: Vec<(String, Value)>,
}

impl TableRow {
    /// The value of a column.
    pub(super) fn get(&self, column: &str) -> Option<&Value> {
        self.values.iter().find(|(name, _)| name == column).map(|(_, value)| value)
    }
}

impl Serialize for TableRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Columns<'a>(&'a [(String, Value)]);
        impl Serialize for Columns<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.iter().map(|(name, value)| (name, Written(value))))
            }
        }
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("table", &self.table)?;
        map.serialize_entry("row", &Columns(&self.values))?;
        map.end()
    }
}

struct Written<'a>(&'a Value);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Real(number) if number.is_finite() => serializer.serialize_f64(*number),
            Value::Real(number) => serializer.collect_map([("real", number.to_string())]),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Blob(bytes) => serializer.collect_map([("bytes", STANDARD.encode(bytes))]),
        }
    }
}

impl<'de> Deserialize<'de> for TableRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Read {
            table: String,
            row: BTreeMap<String, Box<RawValue>>,
        }
        let Read { table, row } = Read::deserialize(deserializer)?;
        let read = |(name, json): (String, Box<RawValue>)| match value(json.get()) {
            Ok(value) => Ok((name, value)),
            Err(reason) => Err(D::Error::custom(format!("table {table}, column {name}: {reason}"))),
        };
        let values = row.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { table, values })
    }
}

/// Numbers are read from their text: to the last bit where they have a point, and as whole ones where they have none.
fn value(json: &str) -> Result<Value, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Wrapped {
        Bytes(String),
        Real(String),
    }
    let fault = |error: serde_json::Error| error.to_string();
    Ok(match json.as_bytes().first() {
        Some(b'n') => Value::Null,
        Some(b'"') => serde_json::from_str::<String>(json).map_err(fault)?.into(),
        Some(b'{') => match serde_json::from_str(json).map_err(fault)? {
            Wrapped::Bytes(text) => STANDARD.decode(text).map_err(|e| format!("no Base64: {e}"))?.into(),
            Wrapped::Real(text) => real(&text)?,
        },
        Some(b'-' | b'0'..=b'9') if json.contains(['.', 'e', 'E']) => real(json)?,
        Some(b'-' | b'0'..=b'9') => {
            Value::Int(json.parse().map_err(|_| format!("{json} has more than 64 bits"))?)
        }
        _ => return Err("it takes no list, no true and no false".into()),
    })
}

fn real(text: &str) -> Result<Value, String> {
    text.parse().map(Value::Real).map_err(|_| format!("'{text}' is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let reals = [0.1, -0.0, 1e300, 5e-324, 1.0, 85.0, f64::INFINITY, f64::NEG_INFINITY, 2.0_f64.powi(60)];
        let ints = [0, -1, i64::MAX, i64::MIN];
        let texts = ["", "0", "null", "a\n\"b\"\\\t\u{1}", "ॐ 中 🦀", "{\"bytes\":\"\"}"];
        let mut values: Vec<Value> = reals.into_iter().map(Value::Real).collect();
        values.extend(ints.map(Value::Int));
        values.extend(texts.map(Value::from));
        values.extend([Value::Null, Value::Blob(Vec::new()), Value::Blob((0..=255).collect())]);
        let values = values.into_iter().enumerate().map(|(i, value)| (format!("c{i:02}"), value)).collect();
        let row = TableRow { table: "t".into(), values };
        let text = serde_json::to_string(&row).unwrap();
        let read: TableRow = serde_json::from_str(&text).unwrap();
        assert_eq!(read, row, "{text}");
        let sign = |row: &TableRow| match row.get("c01") {
            Some(Value::Real(number)) => number.is_sign_negative(),
            other => panic!("{other:?}"),
        };
        assert!(sign(&row) && sign(&read), "a negative zero stays one");
        let nan: TableRow = serde_json::from_str(r#"{"table":"t","row":{"a":{"real":"NaN"}}}"#).unwrap();
        assert!(matches!(nan.get("a"), Some(Value::Real(number)) if number.is_nan()));
    }

    #[test]
    fn what_is_no_value_is_refused_by_its_column() {
        for (value, reason) in [
            ("true", "column a: it takes no list"),
            ("[1]", "column a: it takes no list"),
            ("{\"bytes\":\"*\"}", "column a: no Base64"),
            ("99999999999999999999", "column a: 99999999999999999999 has more than 64 bits"),
            ("{\"real\":\"x\"}", "column a: 'x' is no number"),
        ] {
            let text = format!(r#"{{"table":"t","row":{{"a":{value}}}}}"#);
            let refused = serde_json::from_str::<TableRow>(&text).unwrap_err().to_string();
            assert!(refused.contains(reason), "{value}: {refused}");
        }
    }
}
