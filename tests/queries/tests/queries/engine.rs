//! Logfire's SQL on DataFusion: its two views of the rows, its JSON operators (the very crate), its comparisons of `level` with
//! names, and a clock that stands still. What else Logfire adds (`time_bucket`, `level_name`, `metrics`) no query uses yet.

use std::sync::Arc;

use datafusion::arrow::array::Array;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::sqlparser::ast::BinaryOperator;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Operator, Volatility, create_udf, lit,
};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::record::LEVELS;

/// The rows, ready to be asked.
pub(crate) struct Engine(SessionContext);

impl Engine {
    /// `now` is in microseconds since 1970.
    pub(crate) async fn over(records_all: RecordBatch, now: i64) -> Result<Self> {
        // One partition: sums of floats depend on the order.
        let config = SessionConfig::new()
            .with_target_partitions(1)
            .set_str("datafusion.sql_parser.dialect", "PostgreSQL");
        let mut context = SessionContext::new_with_config(config);
        context.register_expr_planner(Arc::new(LevelNames))?;
        datafusion_functions_json::register_all(&mut context)?;
        context.register_udf(standing_still(now));
        context.register_batch("records_all", records_all)?;
        let view = "CREATE VIEW records AS SELECT * FROM records_all WHERE kind != 'pending_span'";
        context.sql(view).await?;
        Ok(Self(context))
    }

    /// The answer as a table of text.
    pub(crate) async fn answer(&self, query: &str) -> Result<Answer> {
        let batches = self.0.sql(query).await?.collect().await?;
        Ok(Answer {
            rows: batches.iter().map(RecordBatch::num_rows).sum(),
            empty: empty(&batches),
            text: pretty_format_batches(&batches)?.to_string(),
        })
    }
}

pub(crate) struct Answer {
    pub(crate) rows: usize,
    /// The columns without a value in any row.
    pub(crate) empty: Vec<String>,
    pub(crate) text: String,
}

fn empty(batches: &[RecordBatch]) -> Vec<String> {
    let Some(first) = batches.first() else {
        return Vec::new();
    };
    let names = first.schema();
    let is_empty = |index: &usize| {
        let mut columns = batches.iter().map(|batch| batch.column(*index));
        columns.all(|column| column.null_count() == column.len())
    };
    let empty = (0..first.num_columns()).filter(is_empty);
    empty
        .map(|index| names.field(index).name().clone())
        .collect()
}

/// `now()`, always the same.
fn standing_still(now: i64) -> datafusion::logical_expr::ScalarUDF {
    let zone: Option<Arc<str>> = Some("UTC".into());
    let kind = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
    let moment = ScalarValue::TimestampMicrosecond(Some(now), zone);
    let tell = move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(moment.clone()));
    create_udf("now", vec![], kind, Volatility::Immutable, Arc::new(tell))
}

/// `level >= 'error'` compares numbers: the name of a level beside the column is its number.
#[derive(Debug)]
struct LevelNames;

impl ExprPlanner for LevelNames {
    fn plan_binary_op(
        &self,
        raw: RawBinaryExpr,
        _schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let number = match (&raw.left, &raw.right) {
            (Expr::Column(column), other) if column.name == "level" => number(other)?,
            _ => None,
        };
        let Some((operator, number)) = operator(&raw.op).zip(number) else {
            return Ok(PlannerResult::Original(raw));
        };
        let compared = BinaryExpr::new(Box::new(raw.left), operator, Box::new(lit(number)));
        Ok(PlannerResult::Planned(Expr::BinaryExpr(compared)))
    }
}

fn number(expression: &Expr) -> Result<Option<i16>> {
    let Expr::Literal(ScalarValue::Utf8(Some(name)), _) = expression else {
        return Ok(None);
    };
    match LEVELS.iter().find(|(known, _)| known == name) {
        Some((_, number)) => Ok(Some(*number)),
        None => plan_err!("there is no level {name:?}"),
    }
}

fn operator(operator: &BinaryOperator) -> Option<Operator> {
    match operator {
        BinaryOperator::Eq => Some(Operator::Eq),
        BinaryOperator::NotEq => Some(Operator::NotEq),
        BinaryOperator::Gt => Some(Operator::Gt),
        BinaryOperator::GtEq => Some(Operator::GtEq),
        BinaryOperator::Lt => Some(Operator::Lt),
        BinaryOperator::LtEq => Some(Operator::LtEq),
        _ => None,
    }
}
